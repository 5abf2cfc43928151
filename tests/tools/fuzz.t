#!/bin/bash
# The heap and address spaces against their models: the committed inputs, then new ones, for a
# minute and for ten seconds.
exec tools/fuzz --check 60
