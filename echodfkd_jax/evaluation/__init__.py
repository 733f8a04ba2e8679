"""How good a mask is: overlap, cardiac phase, ejection fraction, calibration; numpy only."""
