"""The plan for a billion images, on paper: sizes and times follow from what is assumed here. Nothing is measured."""

N, D, WIDTH = 10**9, 64, 384  # images; features that are kept of those of the network
IMAGE_BYTES = 100_000  # JPEG, 256 pixels
A_GPU, A_CORE = 5_000, 300  # images a second: a ViT-S at 224 pixels in half precision; decoded
CELLS, PROBED, PER_CELL, ITERATIONS = 2**17, 32, 64, 10
GPU_FLOPS, CORE_FLOPS = 10e12, 40e9  # of matrix products in fp32 that are reached
READ = 2e9  # bytes a second of one NVMe disk
LABELS, NEW, NEIGHBORS = 100_000, 1_000, 100
GPUS = 8


def plan() -> list[str]:
    """The section of SCALE.md."""
    features, index = N * D * 2, N * (D + 8)
    assigning = 2 * N * CELLS * D
    training = 2 * CELLS * PER_CELL * ITERATIONS * CELLS * D
    looked_at = PROBED * N // CELLS
    rows = [
        ("images", f"{N * IMAGE_BYTES / 1e12:.0f} TB", "on shared storage; read once"),
        (
            "embedding pass (`embedding.engine=ray`)",
            f"{N * WIDTH * 2 / 1e9:.0f} GB",
            f"{N / A_GPU / 3600:.0f} GPU hours ({N / A_GPU / 3600 / GPUS:.0f} h on {GPUS} GPUs), and "
            f"{N / A_CORE / 3600:,.0f} core hours of decoding: {A_GPU / A_CORE:.0f} cores a GPU",
        ),
        (f"features reduced to {D} (PCA)", f"{features / 1e9:.0f} GB, mapped", "with the pass"),
        (
            f"index: {CELLS:,} cells, 8 bits a feature",
            f"{index / 1e9:.0f} GB, mapped",
            f"{(training + assigning) / GPU_FLOPS / 3600:.1f} h on one GPU, or "
            f"{(training + assigning) / CORE_FLOPS / 3600:.0f} core hours",
        ),
        (
            f"a round's lookups: {NEW:,} new labels, {PROBED} cells each",
            f"{NEW * looked_at * D / 1e9:.0f} GB read",
            f"{NEW * looked_at * D / READ:.0f} s from one disk, less with what is in memory",
        ),
        (
            f"candidates at {LABELS:,} labels",
            f"at most {LABELS * NEIGHBORS:,}",
            "as a whole pool of that size",
        ),
    ]
    return [
        "## A billion images: a plan, not measured",
        "",
        f"Assumed: {IMAGE_BYTES // 1000} kB an image; {A_GPU:,} images a second and GPU through a ViT-S at 224 pixels; "
        f"{A_CORE} decoded a second and core; matrix products at {GPU_FLOPS / 1e12:.0f} TFLOP/s on a GPU and "
        f"{CORE_FLOPS / 1e9:.0f} GFLOP/s on a core; a disk of {READ / 1e9:.0f} GB/s.",
        "",
        "| step | size | time |",
        "|---|---:|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        "What the code of today would need: features that are reduced, ids as a mapped column (as Python strings "
        "they take about 70 bytes an image, 70 GB), masks and labels of fewer bytes (25 an image, 25 GB), a listing of "
        "the images in parts (it is one compressed table), and no digest of all features at the start of a run (it "
        f"reads them whole: {features / READ:.0f} s).",
    ]
