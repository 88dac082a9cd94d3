"""Accuracy with and without attack, and the alarms of a broken evaluation. Import from accuracy and alarms."""
