"""The hosted LIS: tenants, people, rules, pages. It never knows a serial port."""
