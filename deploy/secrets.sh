#!/bin/sh
# Draws the secrets of an installation by deploy/compose.yaml: deploy/.env and the certificates of NATS in deploy/tls.
#
#   deploy/secrets.sh [COMMAND…]
#
# COMMAND runs the service's program; by default `docker run --rm unificus:0.1.0`. Existing secrets are kept.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
env=$here/.env
umask 077

# One certificate for all three servers, because the containers read one directory. The files are read by the user of the
# servers' image.
"$here/nats/certificates.sh" "$here/tls" nats,nats-1,nats-2,nats-3,localhost
chmod 755 "$here/tls"
chmod 644 "$here/tls/nats.crt" "$here/tls/nats.key" "$here/tls/ca.crt"

[ ! -e "$env" ] || { echo "$env exists: nothing is drawn"; exit 0; }
[ $# -gt 0 ] || set -- docker run --rm unificus:0.1.0
drawn=$("$@" nats-issuer)
# Letters and digits, beginning with a letter: they stand in URLs, and NATS reads others as numbers.
password() { echo "p$(openssl rand -hex 24)"; }
{
    echo "POSTGRES_PASSWORD=$(password)"
    echo "UNIFICUS_OWNER_PASSWORD=$(password)"
    echo "UNIFICUS_SERVICE_PASSWORD=$(password)"
    echo "UNIFICUS_BACKUP_PASSWORD=$(password)"
    echo "NATS_SERVICE_PASSWORD=$(password)"
    echo "NATS_SYSTEM_PASSWORD=$(password)"
    echo "NATS_ISSUER=$(echo "$drawn" | awk '/^public key/ { print $3 }')"
    echo "NATS_ISSUER_SEED=$(echo "$drawn" | awk '/^seed/ { print $2 }')"
    echo "MASTER_KEY=$(openssl rand -base64 32)"
    echo "GRAFANA_PASSWORD=$(password)"
} >"$env.new"
mv "$env.new" "$env"
echo "wrote $env"
