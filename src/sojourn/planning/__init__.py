"""Forecasts × runtime types become a Plan. Pure, like forecast."""
