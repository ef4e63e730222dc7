#!/usr/bin/env bash
# The client package as a project that uses it sees it, and the version that tags give. A minute.
# The functions are called by check.
# shellcheck disable=SC2317
# shellcheck source=deploy/checks/checking.sh
source "$(dirname "$0")/checking.sh"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

scratch=$(mktemp -d)
# Of its own for each run: NuGet never looks again at a version that it knows.
version=0.0.0-check.$(date +%s)
packages=${NUGET_PACKAGES:-$HOME/.nuget/packages}
trap 'rm -rf "$scratch" "$packages/otpauthservice.client/$version"' EXIT

pack() {
  dotnet pack src/OtpAuthService.Client --configuration Release --output "$scratch/feed" --property MinVerVersionOverride="$version"
}

holds() {
  python3 - "$@" <<'PYTHON'
import sys, zipfile
package, *wanted = sys.argv[1:]
missing = sorted(set(wanted) - set(zipfile.ZipFile(package).namelist()))
sys.exit(f"{package} lacks {missing}" if missing else 0)
PYTHON
}

use() {
  mkdir "$scratch/consumer"
  cat >"$scratch/consumer/nuget.config" <<XML
<configuration><packageSources><add key="checked" value="$scratch/feed" /></packageSources></configuration>
XML
  cat >"$scratch/consumer/consumer.csproj" <<XML
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <Nullable>enable</Nullable>
    <ImplicitUsings>enable</ImplicitUsings>
    <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
    <NuGetAudit>false</NuGetAudit>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="OtpAuthService.Client" Version="[$version]" />
  </ItemGroup>
</Project>
XML
  cat >"$scratch/consumer/Program.cs" <<'CSHARP'
using OtpAuthService.Client;
using OtpAuthService.V1;

using var channel = OtpAuthChannel.Create("dns:///localhost:5080");
var request = new VerifyRequest { RequestId = RequestId.New(), Channel = Channel.PcBrowser, Purpose = Purpose.Login };
Console.WriteLine($"{request.RequestId.Length} {channel.OtpAuth.GetType().Name} {typeof(OtpAuthChannel).Assembly.GetName().Name}");
CSHARP
  [[ $(dotnet run --project "$scratch/consumer") == "22 OtpAuthClient OtpAuthService.Client" ]]
}

# The sources that a package is made of, without git; a git archive would lack what is not committed yet.
copy_sources() {
  mkdir "$scratch/sources"
  tar --create --exclude=bin --exclude=obj Directory.Build.props Directory.Packages.props BannedSymbols.txt global.json protos src/OtpAuthService.Client |
    tar --extract --directory "$scratch/sources"
  printf 'bin/\nobj/\n' >"$scratch/sources/.gitignore"
  in_sources git init --quiet
}

in_sources() {
  (cd "$scratch/sources" && GIT_AUTHOR_NAME=check GIT_AUTHOR_EMAIL=check@localhost GIT_COMMITTER_NAME=check GIT_COMMITTER_EMAIL=check@localhost "$@")
}

commit() {
  in_sources git add --all && in_sources git commit --quiet --allow-empty --message "$1"
}

# The version that the sources in a folder are built as.
builds_as() {
  local folder=$1 wanted=$2 built
  shift 2
  built=$(dotnet msbuild "$folder/src/OtpAuthService.Client" -restore -target:MinVer -getProperty:Version "$@") || { echo "$built" && return 1; }
  [[ $built == "$wanted" ]] || { echo "$built instead of $wanted" && return 1; }
}

check "client: packs" pack
check "client: package holds assembly, documentation, README and contract" holds "$scratch/feed/OtpAuthService.Client.$version.nupkg" \
  lib/net10.0/OtpAuthService.Client.dll lib/net10.0/OtpAuthService.Client.xml README.md protos/otpauth/v1/otp_auth.proto protos/otpauth/v1/otp_operations.proto
check "client: symbols" holds "$scratch/feed/OtpAuthService.Client.$version.snupkg" lib/net10.0/OtpAuthService.Client.pdb
check "client: a project that uses the package builds and runs" use

copy_sources
commit first
check "version: without a tag" builds_as "$scratch/sources" 0.1.0-alpha.0
in_sources git tag v1.2.3
check "version: of a tag" builds_as "$scratch/sources" 1.2.3
commit second
check "version: after a tag" builds_as "$scratch/sources" 1.2.4-alpha.0.1
git clone --quiet --depth 1 "file://$scratch/sources" "$scratch/shallow" 2>/dev/null
check "version: in a shallow clone" builds_as "$scratch/shallow" 0.1.0-alpha.0
rm -rf "$scratch/sources/.git"
check "version: in a folder without git" builds_as "$scratch/sources" 0.0.0-source
check "version: in a folder without git, as the build is told" builds_as "$scratch/sources" 3.2.1 -property:MinVerVersionOverride=3.2.1
finish_checks
