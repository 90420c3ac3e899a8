"""Pending data: files committed on this node that their store does not have yet."""
