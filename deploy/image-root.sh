#!/bin/sh
# Completes the root file system of the service's image, in which the program is already: deploy/image-root.sh DIR
#
# It runs in the second half of the build stage of deploy/Dockerfile, on Debian with the packages of the Rust image.
set -eu

image=$1
program=$image/usr/bin/unificus

# The loader and the libraries that it names, at the paths where the program looks for them.
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    install -D -m 755 "$library" "$image$library"
done

# By these the service checks the receivers of webhooks.
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/ca-certificates.crt"

install -d -m 755 "$image/etc"
echo 'unificus:x:65532:65532:Unificus Secure API:/nonexistent:/usr/sbin/nologin' >"$image/etc/passwd"
echo 'unificus:x:65532:' >"$image/etc/group"
# Names come from the container's file of hosts first, then from DNS.
echo 'hosts: files dns' >"$image/etc/nsswitch.conf"
