"""What can be rented: load, look up, overlay the user's own figures."""
