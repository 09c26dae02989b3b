"""Small CLIPs that differ in one training condition at a time; the emergence study reads them."""
