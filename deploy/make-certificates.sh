#!/usr/bin/env bash
# Makes certificates to try mutual TLS out with: a CA, a server's certificate, and one per caller. See deploy/README.md.
set -euo pipefail

readonly usage="usage: deploy/make-certificates.sh FOLDER [--days N] [--server-name NAME]... [--caller URI=FILE-NAME]... [--revoke FILE-NAME]...

In a new FOLDER: makes a CA (ca.pem, ca.key), a server's certificate (server.pem, server.key) for localhost, 127.0.0.1, ::1 and
each NAME (a DNS name or an IP address), and an empty revocation list (crl.pem).
In a FOLDER made by it before: uses the CA that is there.

  --days N                how long certificates and revocation lists made now are valid, 1 to 3650; default 90. Of the CA: ten times that
  --server-name NAME      another name of the server; in a new folder only
  --caller URI=FILE-NAME  makes FILE-NAME.pem and FILE-NAME.key for the caller of that URI, such as
                          spiffe://bank.example/caller/frontend-1=frontend-1
  --revoke FILE-NAME      puts the certificate in FILE-NAME.pem on the revocation list

Nothing is overwritten but crl.pem."

fail() {
  echo "make-certificates.sh: $1" >&2
  exit 1
}

wrong_usage() {
  echo "make-certificates.sh: $1" >&2
  echo "$usage" >&2
  exit 2
}

folder=
days=90
server_names=()
callers=()
revoked=()

read_arguments() {
  while (($# > 0)); do
    case $1 in
      -h | --help)
        echo "$usage"
        exit 0
        ;;
      --days | --server-name | --caller | --revoke)
        (($# > 1)) || wrong_usage "$1 needs a value."
        case $1 in
          --days) days=$2 ;;
          --server-name) server_names+=("$2") ;;
          --caller) callers+=("$2") ;;
          --revoke) revoked+=("$2") ;;
        esac
        shift 2
        ;;
      -*) wrong_usage "$1 is not an option." ;;
      *)
        [[ -z $folder ]] || wrong_usage "'$1' is one folder too many."
        folder=$1
        shift
        ;;
    esac
  done
}

# Everything is checked before anything is written.
check_arguments() {
  [[ -n $folder ]] || wrong_usage "a folder is missing."
  [[ $days =~ ^[1-9][0-9]{0,3}$ && $days -le 3650 ]] || wrong_usage "--days: '$days' is not a number from 1 to 3650."
  # What is allowed here can mean nothing else in OpenSSL's configuration, where commas and colons separate.
  for name in "${server_names[@]}"; do
    [[ $name =~ ^[A-Za-z0-9.:-]+$ ]] || wrong_usage "--server-name: '$name' is neither a DNS name nor an IP address."
  done
  for caller in "${callers[@]}"; do
    [[ $caller =~ ^[a-z]+://[A-Za-z0-9._/-]+=[A-Za-z0-9][A-Za-z0-9._-]*$ ]] ||
      wrong_usage "--caller: '$caller' is not of the form spiffe://bank.example/caller/frontend-1=frontend-1."
    must_be_new "$(file_of "$caller")"
  done
  for file in "${revoked[@]}"; do
    [[ $file =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ && -e $folder/$file.pem ]] || wrong_usage "--revoke: there is no $folder/$file.pem."
  done
}

file_of() {
  echo "${1##*=}"
}

# Neither there nor about to be made.
declare -A taken=([ca]=1 [server]=1 [crl]=1)
must_be_new() {
  [[ -z ${taken[$1]-} && ! -e $folder/$1.pem && ! -e $folder/$1.key ]] || fail "$folder/$1.pem would be overwritten: it is not."
  taken[$1]=1
}

# The database of "openssl ca", which knows what was issued and revoked. It has no command-line options for its extensions.
write_ca_settings() {
  mkdir "$folder/.ca"
  : >"$folder/.ca/index.txt"
  echo 01 >"$folder/.ca/crlnumber"
  cat >"$folder/.ca/openssl.cnf" <<'SETTINGS'
[ca]
default_ca = here
[here]
database = .ca/index.txt
new_certs_dir = .ca
crlnumber = .ca/crlnumber
rand_serial = yes
unique_subject = no
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
[any]
commonName = supplied
[list]
authorityKeyIdentifier = keyid
SETTINGS
}

make_ca() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -sha256 -days $((days * 10)) -subj "/CN=OtpAuthService trial CA" \
    -config /dev/null -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign -addext subjectKeyIdentifier=hash \
    -keyout ca.key -out ca.pem
}

# Name of the files, common name, extended key usage, subject alternative names.
issue() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -sha256 -subj "/CN=$2" -config /dev/null -keyout "$1.key" -out .ca/request.pem &&
    openssl ca -batch -notext -config .ca/openssl.cnf -days "$days" -in .ca/request.pem -out "$1.pem" -extfile <(
      echo "basicConstraints = critical, CA:false"
      echo "keyUsage = critical, digitalSignature"
      echo "extendedKeyUsage = $3"
      echo "subjectAltName = $4"
      echo "subjectKeyIdentifier = hash"
      echo "authorityKeyIdentifier = keyid"
    ) && rm .ca/request.pem
}

server_alternative_names() {
  local names="DNS:localhost,IP:127.0.0.1,IP:::1"
  for name in "${server_names[@]}"; do
    if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then names+=",IP:$name"; else names+=",DNS:$name"; fi
  done
  echo "$names"
}

# A reader never finds half a list.
write_revocation_list() {
  openssl ca -gencrl -config .ca/openssl.cnf -crlexts list -crldays "$days" -out .ca/crl.pem && mv .ca/crl.pem crl.pem
}

# OpenSSL tells of every step; it is heard where one fails. (set -e does not reach into what is run here.)
quietly() {
  local output
  output=$("$@" 2>&1) || fail "OpenSSL failed: $output"
}

make_new_folder() {
  for file in ca.pem ca.key server.pem server.key crl.pem; do
    [[ ! -e $folder/$file ]] || fail "$folder/$file exists already and is not overwritten."
  done
  write_ca_settings
  cd "$folder"
  quietly make_ca
  quietly issue server localhost serverAuth "$(server_alternative_names)"
}

use_folder() {
  ((${#server_names[@]} == 0)) || fail "$folder has a server certificate already: --server-name is for a new folder."
  ((${#callers[@]} + ${#revoked[@]} > 0)) || fail "$folder/ca.pem exists already and is not overwritten. Give --caller or --revoke to use it."
  cd "$folder"
}

read_arguments "$@"
check_arguments
mkdir -p "$folder"
# Keys are for their owner only, from the moment they are made.
umask 077
if [[ -e $folder/.ca/openssl.cnf ]]; then use_folder; else make_new_folder; fi
for caller in "${callers[@]}"; do
  quietly issue "$(file_of "$caller")" "$(file_of "$caller")" clientAuth "URI:${caller%=*}"
done
for file in "${revoked[@]}"; do
  quietly openssl ca -batch -config .ca/openssl.cnf -revoke "$file.pem"
done
quietly write_revocation_list
# Certificates are no secrets, and a service runs as another user.
chmod 644 ./*.pem
