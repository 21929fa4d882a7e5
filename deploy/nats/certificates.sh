#!/bin/sh
# Makes the certificates of a NATS cluster: an authority of its own, and one certificate per server.
#
#   deploy/nats/certificates.sh DIR SERVER…
#
# SERVER is nats-1, or nats-1,nats.example.org,10.0.0.7 where the server has several names: as the other servers and as
# clients reach it. The files are DIR/ca.crt, DIR/ca.key and DIR/<first name>.crt and .key; existing ones are kept, so that
# the script may be run again for a further server. Keep ca.key away from the servers: who has it is a server.
set -eu

[ $# -ge 2 ] || { echo "usage: $0 DIR SERVER[,NAME…]…" >&2; exit 2; }
dir=$1
shift
umask 077
mkdir -p "$dir"

new_key() { openssl ecparam -genkey -noout -name prime256v1 -out "$1"; }

[ -e "$dir/ca.key" ] || new_key "$dir/ca.key"
[ -e "$dir/ca.crt" ] || openssl req -x509 -new -sha256 -days 3650 -key "$dir/ca.key" -subj '/CN=NATS cluster' \
    -addext 'keyUsage=critical,keyCertSign,cRLSign' -out "$dir/ca.crt"

for server in "$@"; do
    name=${server%%,*}
    [ ! -e "$dir/$name.crt" ] || continue
    names=
    for other in $(echo "$server" | tr , ' '); do
        # An address has digits, dots and colons alone.
        case $other in
            *[!0-9.:]*) names="$names,DNS:$other" ;;
            *) names="$names,IP:$other" ;;
        esac
    done
    new_key "$dir/$name.key"
    # Both uses, because a server is a client of the others.
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\nkeyUsage=critical,digitalSignature\n' \
        "${names#,}" >"$dir/$name.ext"
    openssl req -new -sha256 -key "$dir/$name.key" -subj "/CN=$name" -out "$dir/$name.csr"
    openssl x509 -req -sha256 -days 825 -in "$dir/$name.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial \
        -extfile "$dir/$name.ext" -out "$dir/$name.crt" 2>/dev/null
    rm -f "$dir/$name.csr" "$dir/$name.ext"
done
