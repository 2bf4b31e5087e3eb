#!/usr/bin/env bash
exec python3 -B tests/crash/crash_loop.py "$@"
