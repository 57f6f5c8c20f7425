"""ASTM E1381/LIS01 link frames and E1394/LIS02 records."""
