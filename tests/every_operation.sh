#!/bin/sh
# Calls every row of the Secure API's table of operations with curl on a running service, and prints each call, its
# status and the beginning of its response. Fails at the first unexpected status.
#
#     ENV_FILE=service.env make run            # in one terminal
#     tests/every_operation.sh service.env     # in another
#
# The records that it creates stay in the account; their names end in the start time in seconds.
set -eu

# shellcheck source=/dev/null
. "$1"
: "$UNIFICUS_BASE_URL" "$UNIFICUS_PUBLIC_ID" "$UNIFICUS_SECRET_KEY"
now=$(date +%s)
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT

# call STATUS METHOD PATH [BODY]: writes the response to $scratch.
call() {
    expected=$1 method=$2 path=$3
    if [ $# -gt 3 ]; then set -- --data-binary "$4"; else set --; fi
    [ $# -eq 0 ] || body=" $2"
    echo "$method $path${body:-}"
    body=
    status=$(curl --silent --show-error --globoff --output "$scratch" --write-out '%{http_code}' --request "$method" "$@" \
        --header "X-Public-ID: $UNIFICUS_PUBLIC_ID" --header "X-Secret-Key: $UNIFICUS_SECRET_KEY" "$UNIFICUS_BASE_URL$path")
    echo "  $status $(head -c 240 "$scratch" | tr '\n' ' ')"
    [ "$status" = "$expected" ] || { echo "expected $expected" >&2; exit 1; }
}

# Prints the first value of a key in the last response.
value() { grep -o "\"$1\":\"[^\"]*\"" "$scratch" | head -n 1 | cut -d '"' -f 4; }

call 200 GET /contact/meta
call 200 GET '/contacts?page=1&limit=2&createdMin=2020-01-01T00:00:00+00:00&orderBy=-created&meta=1'
call 200 GET '/contacts?page=99999'
call 201 POST /contact "{\"role\":\"Lead\",\"first_name\":\"John\",\"last_name\":\"Doe\",\"email\":\"john.$now@example.com\",\"send_welcome_email\":true}"
contact=$(value uid)
call 200 GET "/contact/$contact"
call 200 GET "/contact/john.$now@example.com?meta=1"
call 200 PUT "/contact/$contact" '{"tags":"vip, new","notes":["Met in Rome"],"circles":{"add":["VIP"]}}'
call 200 GET "/contacts?email=john.$now@example.com"
call 200 GET "/contact/$contact/history?limit=1"
call 200 GET "/contact/$contact?at=$(sed 's/.*"seq":\([0-9]*\),.*/\1/' "$scratch")"
call 200 GET '/contacts?at=1&limit=2'
call 422 POST /contact "{\"role\":\"Lead\",\"first_name\":\"John\",\"last_name\":\"Doe\",\"email\":\"JOHN.$now@example.com\"}"

call 200 GET /company/meta
call 201 POST /company "{\"name\":\"Acme & Co $now\",\"category\":{\"name\":\"Wholesale\"},\"primaryContact\":{\"email\":\"john.$now@example.com\"}}"
call 200 GET "/company/Acme+%26+Co+$now"
call 200 PUT "/company/Acme+%26+Co+$now" '{"phone":"+31 20 555 0100"}'
company=$(value uid)
call 200 GET '/companies?page=1&limit=2&orderBy=name'
call 200 GET '/companies?idle=true&limit=2'
call 200 GET "/company/$company/history"
call 200 GET "/contacts?company=$company"

call 200 GET /project/meta
call 201 POST /project "{\"name\":\"Roof $now\",\"start_date\":\"2026-11-24\",\"estimated_value\":{\"amount\":12000,\"currency\":\"EUR\"},\"client\":\"$company\"}"
project=$(value uid)
call 200 GET "/project/uid/$project"
call 200 GET "/project/name/Roof+$now"
call 200 GET "/project/contains_the_following/oof+$now"
call 200 GET /project/most_recent/true
call 200 GET "/project/uid/$project/history"
call 200 GET "/project/$project/history"
call 200 PUT "/project/uid/$project" '{"status":"Done"}'
call 200 PUT "/project/name/Roof+$now" '{"team":["Ann"]}'
call 200 GET '/projects?limit=2'

call 200 GET /audiences
call 200 POST /marketing/subscribe "[{\"email\":\"john.$now@example.com\",\"audiences\":[]},{\"email\":\"new.$now@example.com\",\"first_name\":\"New\",\"last_name\":\"\"}]"
call 200 GET /worlds
call 201 POST /fields "{\"entity\":\"contact\",\"type\":\"dropdown\",\"name\":\"Colour $now\",\"allowed_values\":[\"Red\",\"Green\"]}"
field=$(value uid)
call 200 PUT "/contact/$contact" "{\"custom_fields\":{\"$field\":\"green\"}}"
call 422 PUT "/contact/$contact" "{\"custom_fields\":{\"$field\":\"Blue\"}}"
call 200 PUT "/fields/$field" '{"description":"Of the door"}'
call 200 DELETE "/fields/$field"
call 200 GET /usage

# Aliases of the same operations.
call 201 POST /contacts "{\"role\":\"Lead\",\"first_name\":\"\",\"last_name\":\"Alias $now\"}"
alias=$(value uid)
call 200 GET "/contacts/$alias"
call 200 PUT "/contacts/$alias" '{"title":"Dr"}'
call 201 POST /companies "{\"name\":\"Alias $now\"}"
call 200 GET "/companies/Alias+$now"
call 200 PUT "/companies/Alias+$now" '{"phone":"1"}'
call 200 GET "/project/$project"
call 200 PUT "/project/$project" '{"status":null}'

call 200 DELETE "/contact/$contact"
call 410 GET "/contact/$contact"
call 200 DELETE "/company/Acme+%26+Co+$now"
call 404 GET "/company/Acme+%26+Co+$now"

# The test credentials.
UNIFICUS_PUBLIC_ID=00000000-0000-0000-0000-000000000000 UNIFICUS_SECRET_KEY=DummySecretKey
for path in /contact/meta /contacts /contact/ann@example.com /contact/ann@example.com/history /company/meta /companies /company/Acme /project/meta \
    /projects /project/most_recent/true /audiences /worlds /fields /usage; do
    call 200 GET "$path"
done
call 401 POST /contact '{}'
call 200 GET /swagger/json-file
call 200 GET /asyncapi.json
echo "every operation answered as expected"
