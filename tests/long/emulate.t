#!/bin/sh
# The emulation against the processor, by the million.
exec build/unit/test_emulate 10
