"""The Triton kernel: interpreted on the CPU, and compiled for GPUs that are not here; `test_gpu.py` runs it on one."""

import logging
import sys
from pathlib import Path

import pytest
import torch

from smix_mm.saliency import FineGrainedSaliency, fine_grained
from smix_mm.saliency.kernels import gpu_kernel

triton = pytest.importorskip("triton")


def test_interpreted_kernel_equals_the_definition(run_tool):
    tests = Path(__file__).with_name("interpreted_triton.py")
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    output = run_tool(*command, TRITON_INTERPRET=1, OMP_NUM_THREADS=1).stdout
    assert " passed" in output and "skipped" not in output


SIGNATURES = {
    "centre_surround_kernel": ("*u8 *fp32 *i32 *i32 i32 i32", dict(STEPS=16, ROWS=1, BLOCK=256)),
    "map_kernel": ("*i32 *i32 i32", dict(BLOCK=2048)),
    "grey_kernel": ("*u8 *u8 i32 i32 i32 i32 i32 i32", dict(STEPS=32, ROWS=1, BLOCK=256)),
    "row_sums_kernel": ("*u8 *fp32 i32 i32", dict(ROWS=8, BLOCK=256)),
    "column_sums_kernel": ("*fp32 i32 i32", dict(EXACT=True, ROWS=32, BLOCK=64)),
    "extreme_kernel": ("*i32 *i32 *fp64 *i64 *u8 i32 i32", dict(SALIENT=True, FIRST=False, BLOCK=8192)),
}


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("capability", [80, 90])
def test_compiles_to_divisions_that_round_and_no_fused_products_but_of_whole_numbers(
    name, capability, tmp_path, monkeypatch
):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from smix_mm.saliency.kernels import programs

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(programs, name)
    types, constants = SIGNATURES[name]
    signature = dict.fromkeys(kernel.arg_names, "constexpr")
    signature.update(zip(kernel.arg_names, types.split()))
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    code = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 8}).asm["ptx"]
    assert not any(instruction in code for instruction in ("div.full", "div.approx", "rcp.approx"))
    # Minus one: the pixels of a window without its centre.
    assert all(line.endswith(", 0fBF800000;") for line in code.splitlines() if "fma" in line)
    if name in ("centre_surround_kernel", "map_kernel", "extreme_kernel"):
        assert "div.rn.f32" in code


def test_refuses_cpu_pictures_unless_interpreted(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="backend='triton' got pictures on cpu; wanted GPU tensors, or 'auto'"):
        FineGrainedSaliency("triton")(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_names_triton_where_it_is_missing(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(fine_grained, "HAS_TRITON", False)
    with pytest.raises(ImportError, match="backend='triton' needs a Triton that runs on cpu"):
        FineGrainedSaliency("triton")(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_where_triton_does_not_run_the_definition_steps_in_and_says_so_once(monkeypatch, caplog, made_up_pictures):
    from smix_mm.saliency.kernels import operators

    # A GPU that Triton cannot compile for is stood in for by a CPU, for which it cannot compile either.
    monkeypatch.setattr(FineGrainedSaliency, "_kernel", lambda self, device: operators)
    images = torch.stack(list(made_up_pictures(9, 11).values()))
    gpu_kernel.cache_clear()
    try:
        with caplog.at_level(logging.INFO, logger="smix_mm"):
            for _ in range(2):
                assert torch.equal(FineGrainedSaliency()(images), fine_grained.fine_grained_saliency(images))
            assert FineGrainedSaliency().peak(images).tolist() == FineGrainedSaliency("torch").peak(images).tolist()
        assert [record.name for record in caplog.records] == ["smix_mm"]
        assert "no Triton kernel on cpu" in caplog.text
    finally:
        gpu_kernel.cache_clear()
