"""The published figures: mean error and PSNR of completed 64x64 faces.

From the authors' project page of the TPAMI paper (Xie, Lu, Gao, Zhu, Wu, 2018): rows by the side
of the hidden square, columns by method.
"""

SIDES = (30, 40, 50)
METHODS = (
    "coopnets", "dcgan", "mrf-l1", "mrf-l2", "inter-1", "inter-2", "inter-3", "inter-4", "inter-5",
)  # fmt: skip

_ERROR = {
    30: (0.115, 0.211, 0.132, 0.134, 0.120, 0.120, 0.265, 0.120, 0.120),
    40: (0.124, 0.212, 0.148, 0.149, 0.135, 0.135, 0.314, 0.135, 0.135),
    50: (0.136, 0.214, 0.178, 0.179, 0.170, 0.166, 0.353, 0.164, 0.164),
}
_PSNR = {
    30: (16.893, 12.116, 15.739, 15.692, 16.203, 16.635, 9.524, 16.665, 16.648),
    40: (16.098, 11.984, 14.834, 14.785, 15.065, 15.644, 8.178, 15.698, 15.688),
    50: (15.105, 11.890, 13.313, 13.309, 13.220, 14.009, 7.327, 14.164, 14.161),
}

PUBLISHED: dict[tuple[str, int, str], float] = {
    (measure, side, method): value
    for measure, table in (("error", _ERROR), ("psnr", _PSNR))
    for side, values in table.items()
    for method, value in zip(METHODS, values, strict=True)
}
"""By measure (``error`` or ``psnr``), side and method; 54 figures."""
