"""A user's script or notebook, made runnable away from Colab."""
