#!/bin/sh
# Mosquitto reads the list of revoked agents at its start only. When the list changes it ends here, and whoever keeps it running starts
# it again: the revoked stay out, the others reconnect within seconds and lose nothing (every agent keeps what it sends until the receipt).
set -u
crl=${CRL:-/mosquitto/pki/ca/crl.pem}
mosquitto -c "${CONFIG:-/mosquitto/config/mosquitto.conf}" &
broker=$!
trap 'kill "$broker" 2>/dev/null' TERM INT
was=$(stat -c %Y-%s "$crl")
while kill -0 "$broker" 2>/dev/null && [ "$(stat -c %Y-%s "$crl")" = "$was" ]; do
  sleep "${EVERY:-5}" &
  wait $!
done
kill "$broker" 2>/dev/null
wait "$broker"
