#!/usr/bin/env bash
exec python3 -B tests/system/exit_codes_test.py "$@"
