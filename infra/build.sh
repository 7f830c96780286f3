#!/usr/bin/env bash
# Builds what is deployed: sam build with the profile for small, quick-starting binaries.
# cargo-lambda builds with the release profile whatever SAM is told; the environment overrides it.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_PROFILE_RELEASE_OPT_LEVEL=s CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
export CARGO_PROFILE_RELEASE_PANIC=abort CARGO_PROFILE_RELEASE_STRIP=symbols
# Jitter entropy costs 420 million instructions at the first TLS connection; the kernel's generator is enough.
export AWS_LC_SYS_NO_JITTER_ENTROPY=1
export SAM_CLI_TELEMETRY=0
exec sam build "$@"
