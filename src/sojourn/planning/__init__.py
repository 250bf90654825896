"""Forecasts and runtime types become a Plan. Pure, like forecast."""
