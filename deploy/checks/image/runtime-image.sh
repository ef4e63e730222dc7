#!/usr/bin/env bash
# Fills FOLDER with what stands in for mcr.microsoft.com/dotnet/aspnet:10.0-noble-chiseled, which cannot be pulled here: this machine's .NET runtime, the
# libraries it needs, roots of certificates, the user app. As in the original there is no shell, no package manager, no ICU and no time zones.
set -euo pipefail
readonly root=${1:?usage: runtime-image.sh FOLDER}
dotnet=$(dirname "$(readlink -f "$(command -v dotnet)")")
version=$(dotnet --list-runtimes | sed -n 's/^Microsoft\.AspNetCore\.App \(10\.[^ ]*\) .*/\1/p' | tail -n 1)

mkdir -p "$root"/{app,etc/ssl/certs,home/app,tmp,proc,sys,dev,run,usr/bin,usr/lib64,usr/share/dotnet/host/fxr,usr/share/dotnet/shared,var/lib}
ln -s usr/bin "$root/bin"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
cp -a "$dotnet/dotnet" "$root/usr/share/dotnet/"
cp -a "$dotnet/host/fxr/$version" "$root/usr/share/dotnet/host/fxr/"
for framework in Microsoft.NETCore.App Microsoft.AspNetCore.App; do
  mkdir -p "$root/usr/share/dotnet/shared/$framework"
  cp -a "$dotnet/shared/$framework/$version" "$root/usr/share/dotnet/shared/$framework/"
done
ln -s /usr/share/dotnet/dotnet "$root/usr/bin/dotnet"

# What its libraries are linked to, and OpenSSL, which they open by name.
find "$dotnet/shared/Microsoft.NETCore.App/$version" "$dotnet/host/fxr/$version" -name '*.so' -exec ldd {} + 2>/dev/null |
  sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*ld-linux[^ ]*\) .*/\1/p' | grep -v -e lttng -e "^$dotnet" | sort -u >"$root/tmp/libraries"
printf '%s\n' /usr/lib/*/{libssl.so.3,libcrypto.so.3} >>"$root/tmp/libraries"
while read -r library; do
  target=$root$(readlink -f "$(dirname "$library")")
  mkdir -p "$target"
  cp -L "$library" "$target/"
done < <(sort -u "$root/tmp/libraries")
rm "$root/tmp/libraries"

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf 'root:x:0:0:root:/root:/bin/false\napp:x:1654:1654::/home/app:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\napp:x:1654:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
chown 1654:1654 "$root/home/app"
chmod 1777 "$root/tmp"
