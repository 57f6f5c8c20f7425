"""Module critical."""
