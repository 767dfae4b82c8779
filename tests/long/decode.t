#!/bin/sh
# The decoder against Zydis behind every pair of prefixes, and over random code by the million.
exec build/unit/test_decode 40
