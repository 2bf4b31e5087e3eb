#!/usr/bin/env bash
exec python3 -B tests/soak/soak_test.py "$@"
