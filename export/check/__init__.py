"""Release checks: accuracy, parity with torch, the gate."""
