"""Linear dynamical systems: the classical model of dynamic textures, to compare with.

A frame y_t is an affine picture of a state x_t, which is a linear echo of the state before and new
noise (Doretto, Chiuso, Wu, Soatto, *Dynamic Textures*, IJCV 51(2), 2003):

    y_t      =  C x_t + mean
    x_{t+1}  =  A x_t + B v_t,      v_t ~ N(0, I)

This is their suboptimal solution in closed form: C and the states from the singular value
decomposition of the frames, A by least squares from each state to the next, B B^T the covariance
of what is left. What C cannot show, their observation noise, is left out of syntheses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.linalg import solve_discrete_lyapunov
from torch import Tensor

from coopnets.errors import CoopNetsError

STATES = 30
ROUNDING = 1e-6
"""A radius as near to 1 as this is taken for 1."""
Estimate = Literal["least-squares", "yule-walker"]


@dataclass(frozen=True, eq=False)
class LinearSystem:
    """What was learnt of a process; float64.

    Attributes:
        shape: (C, H, W) of a frame.
        mean: (m,), m numbers in a frame.
        c: (m, n), orthonormal columns.
        a: (n, n), its spectral radius below 1.
        b: (n, k), k the rank of the noise.
        estimate: how ``a`` and ``b`` were found: by ``yule-walker`` also where least squares
            would have run away.
        radius: spectral radius of A by least squares.
    """

    shape: tuple[int, int, int]
    mean: np.ndarray
    c: np.ndarray
    a: np.ndarray
    b: np.ndarray
    estimate: Estimate
    radius: float

    def covariance(self) -> np.ndarray:
        """P (n, n) of the state in the long run: P = A P A^T + B B^T."""
        found = solve_discrete_lyapunov(self.a, self.b @ self.b.T)
        symmetric: np.ndarray = (found + found.T) / 2
        return symmetric

    def sample(self, frames: int, seed: int = 0, start: np.ndarray | None = None) -> Tensor:
        """A new clip of any length.

        Args:
            frames: T, at least 1.
            seed: of the first state and the noise.
            start: first state, (n,); by default one drawn from the long run, N(0, P), so that
                the clip is alike from its first frame on.

        Returns:
            float32 (C, T, H, W), about [-1, 1], not cut off.

        Raises:
            CoopNetsError: no frames are asked for.
        """
        if frames < 1:
            raise CoopNetsError(f"a clip of {frames} frames has nothing to show")
        rng = np.random.default_rng(seed)
        first = _root(self.covariance()) @ rng.normal(size=len(self.a))
        noise = rng.normal(size=(frames - 1, self.b.shape[1]))
        states = np.empty((frames, len(self.a)))
        states[0] = first if start is None else start
        for t in range(frames - 1):
            states[t + 1] = self.a @ states[t] + self.b @ noise[t]
        return self.show(states)

    def states(self, clip: Tensor) -> np.ndarray:
        """The states (T, n) whose frames are nearest to those of a clip (C, T, H, W).

        Raises:
            CoopNetsError: its frames are not like those that were learnt.
        """
        rows = _rows(clip)
        if _shape(clip) != self.shape:
            raise CoopNetsError(f"a system of frames {self.shape} cannot see {_shape(clip)}")
        found: np.ndarray = (rows - self.mean) @ self.c
        return found

    def show(self, states: np.ndarray) -> Tensor:
        """The frames of states (T, n), float32 (C, T, H, W)."""
        rows = states @ self.c.T + self.mean
        frames = torch.from_numpy(rows.astype(np.float32)).view(-1, *self.shape)
        return frames.transpose(0, 1).contiguous()


def learn(
    clips: Sequence[Tensor], states: int = STATES, estimate: Estimate = "least-squares"
) -> LinearSystem:
    """The closed-form solution from one clip, or several of the same process.

    Least squares knows nothing of stability: on short clips the spectral radius of A may reach 1,
    and what is drawn then runs away. Such a system is replaced by the solution of the Yule-Walker
    equations, ``A = R1 R0^-1`` and ``B B^T = R0 - A R0 A^T``, R0 and R1 being the sums of
    ``x_t x_t^T`` and ``x_{t+1} x_t^T`` over the frames of all clips. Those sums make a positive
    block Toeplitz matrix, so the radius cannot exceed 1, and the system has exactly the states'
    covariance in the long run, where cutting eigenvalues down to the circle would leave it open
    how far the states swing. ``estimate`` asks for it wherever the radius is.

    Args:
        clips: (C, T, H, W) each, in [-1, 1]; T may differ.
        states: n; no more than frames allow are used: frames less one in all, and the pairs of
            neighbours.
        estimate: how A and B are found.

    Raises:
        CoopNetsError: no clips, fewer than 3 frames in one, frames of several sizes, numbers that
            are not finite, or a clip that does not move.
    """
    if states < 1:
        raise CoopNetsError(f"a system of {states} states has nothing to show")
    _check(clips)
    rows = [_rows(clip) for clip in clips]
    together = np.concatenate(rows)
    mean = together.mean(0)
    pairs = len(together) - len(clips)
    number = min(states, pairs, together.shape[1])
    c, seen = _components(together - mean, number)
    parts = np.split(seen, np.cumsum([len(r) for r in rows])[:-1])
    before = np.concatenate([x[:-1] for x in parts])
    after = np.concatenate([x[1:] for x in parts])
    a = np.linalg.lstsq(before, after, rcond=None)[0].T
    left = after - before @ a.T
    noise, radius, used = left.T @ left / pairs, spectral_radius(a), estimate
    if estimate == "yule-walker" or radius >= 1 - ROUNDING:
        a, noise = _yule_walker(seen, before, after)
        used = "yule-walker"
    return LinearSystem(_shape(clips[0]), mean, c, a, _factor(noise), used, radius)


@dataclass(frozen=True, eq=False)
class MovingAverage:
    """A process as white noise that is heard for a while; float64.

    Attributes:
        mean: (m,), m numbers in a frame.
        c: (m, n), what each state adds to a frame; states vary by 1 in the long run.
        taps: (L, n, d), what a number of noise does to the states of the L frames that hear it.
    """

    mean: np.ndarray
    c: np.ndarray
    taps: np.ndarray


def moving_average(
    clips: Sequence[Tensor], states: int, numbers: int, unit: int, reach: int
) -> MovingAverage:
    """The moving average whose frames covary along time as those of clips do.

    Every ``unit`` frames d = ``numbers`` new numbers z ~ N(0, I) come up, and are heard for
    L = ``reach`` ``unit`` frames. Pieces of L frames with the covariance C(lag) of the clips' own
    states, one every ``unit`` frames, that fade in and out as w(t) and add up, covary as

        C(lag) sum_j w(t - j unit) w(t + lag - j unit),     w(t)^2 = (2 / reach) sin^2,

    which is C(0) at lag 0 and falls slowly beside it. Each piece is drawn by its d principal
    components. A linear system (:func:`learn`) hears its noise for ever, and at every frame.

    Args:
        clips: as in :func:`learn`.
        states: n; no more than frames allow are used.
        numbers: d.
        unit: frames from one set of numbers to the next.
        reach: how many sets are heard at once; at least 2.

    Raises:
        CoopNetsError: as in :func:`learn`.
    """
    _check(clips)
    rows = [_rows(clip) for clip in clips]
    together = np.concatenate(rows)
    mean = together.mean(0)
    c, seen = _components(together - mean, min(states, len(together) - len(clips)))
    deviations, length = seen.std(0), unit * reach
    parts = np.split(seen, np.cumsum([len(r) for r in rows])[:-1])
    weight = np.sqrt(2 / reach) * np.sin(np.pi * (np.arange(length) + 0.5) / length)
    number = len(deviations)
    piece = np.zeros((length, number, length, number))
    for lag in range(min(length, max(map(len, rows)))):
        # Divided by all frames, not by the pairs: so the whole is sure to be a covariance.
        covariance = sum(x[lag:].T @ x[: max(len(x) - lag, 0)] for x in parts) / len(together)
        for t in range(length - lag):
            piece[t + lag, :, t] = weight[t + lag] * weight[t] * covariance
            piece[t, :, t + lag] = piece[t + lag, :, t].T
    factor = _factor(piece.reshape(length * number, -1))[:, ::-1][:, :numbers]
    taps = np.zeros((length, number, numbers))
    taps[:, :, : factor.shape[1]] = factor.reshape(length, number, -1)
    return MovingAverage(mean, c * deviations, taps / deviations[:, None])


def spectral_radius(a: np.ndarray) -> float:
    """The largest modulus of an eigenvalue; states forget where they began if it is below 1."""
    return float(np.abs(np.linalg.eigvals(a)).max())


def _yule_walker(
    seen: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r0, r1 = seen.T @ seen, after.T @ before
    a = r1 @ np.linalg.inv(r0)
    noise = (r0 - a @ r0 @ a.T) / len(seen)
    return a, noise


def _components(centred: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal C (m, n) and states (N, n) of frames (N, m), best in least squares.

    Each column's largest number is positive: the decomposition leaves signs open, and with them
    what a seed draws.
    """
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    kept = min(number, int((values > 1e-10 * values[0]).sum()))
    c = right[:kept].T
    signs = np.sign(c[np.abs(c).argmax(0), np.arange(kept)])
    return c * signs, left[:, :kept] * values[:kept] * signs


def _factor(covariance: np.ndarray) -> np.ndarray:
    """B (n, k) with B B^T the covariance, k its rank."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    kept = values > 1e-12 * max(values[-1], 0.0)
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(values))])
    found: np.ndarray = (vectors * signs * np.sqrt(np.maximum(values, 0.0)))[:, kept]
    return found


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root."""
    values, vectors = np.linalg.eigh(covariance)
    found: np.ndarray = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    return found


def _check(clips: Sequence[Tensor]) -> None:
    if not clips:
        raise CoopNetsError("there is no clip to learn from")
    if len(shapes := {_shape(clip) for clip in clips}) > 1:
        raise CoopNetsError(f"the clips have frames of several sizes: {sorted(shapes)}")
    if (shortest := min(clip.shape[1] for clip in clips)) < 3:
        raise CoopNetsError(f"a clip of {shortest} frames is too short: 3 are the least")
    if not all(bool(torch.isfinite(clip).all()) for clip in clips):
        raise CoopNetsError("the clips hold NaN or infinite values")
    first = clips[0][:, :1]
    if all(bool((clip == first).all()) for clip in clips):
        raise CoopNetsError("the clips do not move: there is no system to learn")


def _shape(clip: Tensor) -> tuple[int, int, int]:
    channels, _, height, width = clip.shape
    return channels, height, width


def _rows(clip: Tensor) -> np.ndarray:
    """The frames of a clip (C, T, H, W) as rows, float64 (T, m)."""
    return clip.detach().cpu().double().transpose(0, 1).flatten(1).numpy()
