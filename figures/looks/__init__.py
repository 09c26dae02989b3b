"""How figures say things and where these stand."""
