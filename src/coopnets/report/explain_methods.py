"""The curves of the other methods, and what each of them tells."""

import math

from coopnets.report.explain import GAP, SPEED, Curve, shares

DCGAN = (
    Curve(
        "What the discriminator believes",
        {"d_data": "D(data)", "d_generated": "D(generated)"},
        "linear",
        "Mean probability that the discriminator D gives observed images, and generated ones, of "
        "being observed; each before D learns from them.",
        "The two stay apart, and neither sticks to the end of the scale. Where D can no longer "
        "tell them apart both are 1/2 (dotted).",
        "0.99 and 0.01 for good: D has won, and the generator learns little. Give it more time "
        "first; then lower `--critic-optimizer.lr`, or raise `--generator-optimizer.lr`. Both "
        "swing between the ends: lower both rates.",
        0.5,
    ),
    Curve(
        "Losses",
        {"critic_loss": "discriminator", "generator_loss": "generator"},
        "auto",
        "The discriminator descends −log D(x) − log(1 − D(g(z))), the generator −log D(g(z)). "
        "Where D cannot tell, the first is 2 log 2 = 1.39 (dotted) and the second log 2.",
        "Both wander without a trend. Neither says how good the pictures are: each is measured by "
        "an opponent who learns too.",
        "The discriminator's near zero while the generator's grows: D has won. Above the dotted "
        "line for long: D is worse than a guess, and its rate too high.",
        2 * math.log(2),
    ),
    SPEED,
    shares(
        {"seconds_critic": "discriminator", "seconds_generator": "generator"},
        "Share of an iteration's time: the generator draws a batch and the discriminator learns "
        "from it and from the data; then the generator learns through the discriminator.",
    ),
)

WGAN = (
    Curve(
        "Distance",
        {"distance": "mean f(data) − mean f(generated)"},
        "auto",
        "How far the critic f tells data from generated images on average. While the critic keeps "
        "up, this is the Wasserstein distance but for a constant factor, and the one loss here "
        "that falls as the pictures get better.",
        "Rises while the critic learns to look, passes a peak, and then falls slowly.",
        "Rising all the time: the generator does not follow, raise `--generator-optimizer.lr`. "
        "Noisy, or below zero: the critic does not keep up, raise `--wgan.critic-steps` or lower "
        "the generator's rate. The scale depends on `--wgan.clip`: compare runs of one setting.",
    ),
    Curve(
        "Gradient penalty",
        {"penalty": "mean (|∂f/∂x| − 1)²"},
        "log",
        "How far the critic's slope is from 1 on the lines between data and generated images; "
        "only where the penalty takes the place of clipping.",
        "Falls quickly and stays near or below 0.1.",
        "Growing: lower `--critic-optimizer.lr` or raise `--wgan.gradient-penalty`.",
    ),
    Curve(
        "Losses",
        {"critic_loss": "critic", "generator_loss": "generator"},
        "linear",
        "What the critic descends, the distance with the opposite sign (and the penalty, if there "
        "is one), and what the generator descends, −mean f(g(z)).",
        "The critic's mirrors the distance. The generator's may drift anywhere: only differences "
        "of f have a meaning.",
        "",
    ),
    SPEED,
    shares(
        {"seconds_critic": "critic", "seconds_generator": "generator"},
        "Share of an iteration's time: the steps of the critic, each on a batch of its own, then "
        "one of the generator.",
    ),
)

VAE = (
    Curve(
        "Variational bound",
        {"bound": "E log p(x|z) − KL, nats"},
        "linear",
        "Lower bound on the log-likelihood of an image as a density in [−1, 1], in nats, with the "
        "decoder x ~ N(g(z), σ² I).",
        "Rises steeply, then ever more slowly.",
        "A fall or jumps: lower `--generator-optimizer.lr`. With σ at 0.3 it cannot pass 0.285 "
        "nats a pixel, however good the pictures; a smaller `--sigma` weighs details more.",
    ),
    Curve(
        "KL divergence",
        {"kl": "KL(q(z|x) | p(z)), nats"},
        "auto",
        "How much the encoder tells about an image: the divergence of its guess q(z|x) from the "
        "prior N(0, I).",
        "Tens of nats, first growing, then nearly flat.",
        "Near zero: the generator ignores z and all samples look alike (posterior collapse); "
        "lower `--sigma` or `--vae.kl-weight`. Hundreds: codes lie far from where samples are "
        "drawn, and samples are worse than reconstructions; raise `--sigma` or "
        "`--vae.kl-weight`.",
    ),
    Curve(
        "Residual",
        {"residual": "rms x − g(z) for a pixel"},
        "log",
        "How far reconstructions are from the images, as root mean square, on a scale where black "
        "is −1 and white is 1.",
        "Falls to about σ or below.",
        "Far below σ: the model expects larger errors than it makes, and samples would be sharper "
        "with a smaller `--sigma`.",
    ),
    SPEED,
    shares(
        {"seconds_forward": "encode, decode", "seconds_step": "learn"},
        "Share of an iteration's time: both networks forwards, then backwards and one step.",
    ),
)

GENERATOR = (
    Curve(
        "Reconstruction error",
        {"reconstruction_error": "mean |x − g(z)|² / (2σ²)"},
        "log",
        "What the generator learns to lower: the squared distance of an observed image from what "
        "its inferred z gives, summed over pixels.",
        "Falls quickly at first, then slowly; in small sets with a step at each epoch, when every "
        "z has moved once more.",
        "Flat and high: more `--posterior.steps`, or a higher `--generator-optimizer.lr`. Rising: "
        "lower `--posterior.delta` or the rate.",
    ),
    Curve(
        "Residual",
        {"residual": "rms x − g(z) for a pixel"},
        "log",
        "The same as root mean square for a pixel, on a scale where black is −1 and white is 1.",
        "Falls to about σ or below: what is left is what the model calls noise.",
        "Far below σ, the pictures may gain from a smaller `--sigma`.",
    ),
    Curve(
        "Latent vectors",
        {"latent_rms": "rms of inferred z"},
        "linear",
        "Size of the latent vectors that Langevin dynamics infers. Samples are drawn from "
        "N(0, I), whose rms is 1 (dotted).",
        "Stays near 1.",
        "Well above 1: z is thrown about or moves where no sample will ever be; lower "
        "`--posterior.delta` or raise `--sigma`. Well below: z is hardly used.",
        1.0,
    ),
    SPEED,
    shares(
        {"seconds_infer": "infer z (Langevin)", "seconds_learn": "learn"},
        "Share of an iteration's time: inference of z by Langevin dynamics, then one step of the "
        "generator.",
        "Inference is by far the larger part: each of its steps goes through the generator "
        "forwards and backwards.",
    ),
)

DESCRIPTOR = (
    Curve(
        "f of data and of chains",
        {"f_data": "f(data)", "f_revised": "f(chains)"},
        "linear",
        "Mean of the descriptor f(x; θ) over observed images and over the ends of the chains. The "
        "learning gradient is the difference of the two; their common level means nothing.",
        "The two run close together and may cross: where chains end with a higher f than the "
        "data, the next steps push f down there.",
        "f(data) far above for good: chains are too short or too slow to arrive, raise "
        "`--langevin.steps`. They part ever further: the descriptor is too strong, lower "
        "`--descriptor-optimizer.lr` or raise `--data-noise`.",
    ),
    Curve(
        "Gap between them",
        {GAP: "|f(data) − f(chains)|"},
        "log",
        "The distance of the two curves above.",
        "Rises at first, then stays of one order, uneven from batch to batch.",
        "Growing without bound comes before a blow-up: lower `--descriptor-optimizer.lr` or raise "
        "`--data-noise`.",
    ),
    Curve(
        "Size of the chains",
        {"chain_rms": "rms of a chain's pixels"},
        "linear",
        "Root mean square of the pixels where the chains end. Uniform noise has 0.58; images lie "
        "within [−1, 1], so theirs is at most 1.",
        "Settles at the value of the data.",
        "Above 1 and rising: chains leave for where no image is; lower `--langevin.delta` or "
        "`--descriptor-optimizer.lr`, or keep them in with `--langevin.clamp 1`.",
    ),
    Curve(
        "Displacement",
        {"displacement": "rms distance of a pixel from the start"},
        "linear",
        "How far a chain moves a pixel, as root mean square. From noise this is the whole way to "
        "an image; a persistent chain moves little each time.",
        "From noise: rises within the first hundreds of iterations and stays, for chains must "
        "travel each time anew. It does not fall as in cooperative learning.",
        "At the level of the added noise alone (√L τδ): the descriptor does not pull yet.",
    ),
    Curve(
        "Drift and noise in a Langevin step",
        {"drift": "drift", "noise": "noise"},
        "log",
        "Size of the two parts of one step relative to x: the drift δ²/2 · ∂f/∂x and the noise "
        "τδ e, each as root mean square, averaged over the L steps.",
        "The drift grows to the size of the noise and beyond. The noise is flat, since δ and τ "
        "set it.",
        "A drift of more than a few hundredths leads to saturated pictures and a blow-up: lower "
        "`--descriptor-optimizer.lr` or `--langevin.delta`.",
    ),
    SPEED,
    shares(
        {"seconds_d1": "chains (Langevin)", "seconds_d2": "learn"},
        "Share of an iteration's time: L Langevin steps, each a pass through the descriptor "
        "forwards and backwards, then one step of the descriptor.",
        "The chains take nearly everything.",
    ),
)
