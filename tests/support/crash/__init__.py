"""The crash harness: analyzers that record what was acknowledged, an agent that is killed, and a checker.

The checker reads only the recorder and the stores that are left (RELIABILITY 2.3). `nursery` starts agents fast enough
for thousands of kills, and can plant a bug in them from outside; the product has no switches for that.
"""
