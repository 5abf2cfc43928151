#!/bin/bash
# The heap against its model: the committed inputs, then a minute of new ones.
exec tools/fuzz --check 60
