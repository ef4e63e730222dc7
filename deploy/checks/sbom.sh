#!/usr/bin/env bash
# What is published: both programs in one folder, complete, and its SBOM. On top of the build of the tests; the image's own is deploy/checks/image.sh.
# Functions are called by check and its like.
# shellcheck disable=SC2317
# shellcheck source=deploy/checks/checking.sh
source "$(dirname "$0")/checking.sh"
readonly schemas=deploy/checks/sbom/node_modules/@cyclonedx/cyclonedx-library/res/schema
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

publish() {
  # The lists of assemblies and the files are those of a Release; ahead-of-time code, which takes minutes, is not in it.
  # Not --no-build: the service's list of assemblies would lack the projects that it refers to.
  dotnet publish src/OtpCtl --configuration Debug -p:PublishReadyToRun=false --output "$folder/app"
}

both_programs() {
  local program
  for program in OtpAuthService otpctl; do
    for file in "$program" "$program.dll" "$program.deps.json" "$program.runtimeconfig.json"; do
      [[ -s $folder/app/$file ]] || { echo "$file is missing"; return 1; }
    done
    [[ -x $folder/app/$program ]] || { echo "$program is no program"; return 1; }
  done
  [[ -s $folder/app/appsettings.json ]]
}

# By its own program file, from its own folder: it finds its runtime, its assemblies and its settings, and then that it was told nothing.
service_starts() {
  local output
  output=$(cd "$folder/app" && env -u ConnectionStrings__Postgres DOTNET_ENVIRONMENT=Production ./OtpAuthService 2>&1) && return 1
  grep -q "Set ConnectionStrings__Postgres" <<<"$output" || { echo "$output"; return 1; }
}

make_sbom() {
  python3 deploy/make-sbom.py "$folder/app" >"$folder/sbom.json"
}

sbom_is_right() {
  /usr/bin/python3 deploy/checks/sbom/sbom_file.py "$1" "$folder/app" "$schemas"
}

# The SBOM with one thing wrong.
sbom_but() {
  jq "$1" "$folder/sbom.json" >"$folder/wrong.json" && sbom_is_right "$folder/wrong.json"
}

check "publish: otpctl with the service beside it" publish
check "publish: both programs, with their lists of assemblies" both_programs
check "publish: the service starts from the folder" service_starts
check "publish: otpctl starts from the folder" "$folder/app/otpctl" --help
check "SBOM: is made of the folder" make_sbom
check "SBOM: fits CycloneDX's schema and names all that is in the folder" sbom_is_right "$folder/sbom.json"
check_refuses "SBOM: a package that is left out is seen" sbom_but 'del(.components[] | select(.name == "Npgsql"))'
check_refuses "SBOM: a package of another version is seen" sbom_but '(.components[] | select(.name == "Npgsql") | .version) = "9.0.0"'
check_refuses "SBOM: a missing licence is seen" sbom_but 'del(.components[] | select(.name == "Otp.NET") | .licenses)'
check_refuses "SBOM: a licence that does not exist is seen" sbom_but '(.components[] | select(.name == "Otp.NET") | .licenses[0].license.id) = "MIT-ish"'
check_refuses "SBOM: a missing hash is seen" sbom_but 'del(.components[] | select(.name == "Otp.NET") | .hashes)'
check_refuses "SBOM: a package that nothing needs is seen" sbom_but 'del(.dependencies[] | .dependsOn[] | select(. == "pkg:nuget/Otp.NET@1.4.1"))'
check_refuses "SBOM: a member that CycloneDX has not is seen" sbom_but '.vulnerable = false'
finish_checks
