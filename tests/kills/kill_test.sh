#!/usr/bin/env bash
exec python3 -B tests/kills/kill_test.py "$@"
