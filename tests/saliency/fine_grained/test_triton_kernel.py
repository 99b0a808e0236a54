"""The Triton kernel: interpreted on the CPU, and compiled for GPUs that are not here; `test_gpu.py` runs it on one."""

import ast
import importlib.util
import inspect
import logging
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest
import torch

from smix_mm.saliency import FineGrainedSaliency
from smix_mm.saliency.fine_grained import detector as fine_grained
from smix_mm.saliency.fine_grained.detector import gpu_kernel, operators
from smix_mm.utils.errors import PackageError

triton = pytest.importorskip("triton")


def test_interpreted_kernel_equals_the_definition(run_tool):
    tests = Path(__file__).with_name("interpreted_triton.py")
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    output = run_tool(*command, TRITON_INTERPRET=1, OMP_NUM_THREADS=1).stdout
    assert " passed" in output and "skipped" not in output


NORMALIZATION = " fp32" * 7
# Argument types and launch parameters of every program, as a GPU is given them for images of 224x224 and, for the
# small kernel, 32x32.
PROGRAMS = {
    "luma_kernel": ("*u8 *u8" + " i32" * 6 + NORMALIZATION, dict(NORMALIZED=False, BLOCK=1024)),
    "luma_kernel, normalized": ("*bf16 *u8" + " i32" * 6 + NORMALIZATION, dict(NORMALIZED=True, BLOCK=1024)),
    "blur_kernel": ("*u8 *u8 i32 i32 i32", dict(STEPS=32, ROWS=1, BLOCK=256)),
    "integral_kernel": ("*u8 *fp32 i32 i32 i32", dict(ROWS=16, BLOCK=256)),
    "row_sums_kernel": ("*u8 *fp32 i32 i32 i32", dict(ROWS=8, BLOCK=256)),
    "column_sums_kernel": ("*fp32 i32 i32", dict(BLOCK=64)),
    "centre_surround_kernel": ("*u8 *fp32 *i32 *i32 i32 i32 i32", dict(WRAP=False, STEPS=8, ROWS=2, BLOCK=256)),
    "map_kernel": ("*i32 *i32 i32", dict(BLOCK=2048)),
    "first_extreme_kernel": ("*i32 *i32 *i64 i32", dict(SALIENT=True, BLOCK=4096)),
    "first_point_kernel": ("*i64 *i64 *u8 i32", {}),
    "small_kernel": (
        "*u8 *fp32 *i64 *u8" + " i32" * 6 + NORMALIZATION,
        dict(NORMALIZED=False, MAP=False, SALIENT=True, BLOCK_H=32, BLOCK_W=32),
    ),
    "paste_kernel": ("*bf16 *bf16 *i64 *i64 *i64" + " i32" * 5, dict(BLOCK=2048)),
}


def modules() -> tuple[ModuleType, ...]:
    from smix_mm.mixing import paste_kernel
    from smix_mm.saliency.fine_grained import triton_extreme_programs, triton_map_programs

    return triton_map_programs, triton_extreme_programs, paste_kernel


def program(name: str):
    name = name.partition(",")[0]
    (module,) = [module for module in modules() if name in vars(module)]
    return getattr(module, name)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compile a program for a GPU that is not here."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    cache = tmp_path_factory.mktemp("triton")

    def compile_for(name: str, capability: int):
        kernel = program(name)
        types, constants = PROGRAMS[name]
        signature = dict.fromkeys(kernel.arg_names, "constexpr")
        signature.update(zip(kernel.arg_names, types.split()))
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        options = {"num_warps": 8, "enable_fp_fusion": "NORMALIZED" not in constants}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_CACHE_DIR", str(cache))
            return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm

    return compile_for


def test_every_program_is_compiled_here():
    kernels = {name for module in modules() for name in vars(module) if name.endswith("_kernel")}
    assert kernels == {name.partition(",")[0] for name in PROGRAMS}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("capability", [80, 90])
def test_every_loop_carries_the_names_that_its_body_assigns(name, capability, compiled):
    source = inspect.getsource(program(name).fn)
    assert values_carried(compiled(name, capability)["ttir"]) == names_carried(source)


# A loop of the form that once lost the row before last: two names start from one value.
ONE_START_FOR_TWO = """
@triton.jit
def kernel(numbers, STEPS: tl.constexpr):
    none = tl.zeros([32], tl.int32)
    last, before_last = none, none
    for step in range(STEPS):
        new = tl.load(numbers + step * 32 + tl.arange(0, 32))
        tl.store(numbers + step * 32 + tl.arange(0, 32), before_last + last)
        before_last = last
        last = new
"""


def test_a_loop_whose_names_start_from_one_value_is_detected(tmp_path, monkeypatch):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "one_start_for_two.py"
    path.write_text("import triton\nimport triton.language as tl\n" + ONE_START_FOR_TWO)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    source = ASTSource(fn=module.kernel, signature={"numbers": "*i32", "STEPS": "constexpr"}, constexprs={"STEPS": 8})
    ttir = triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ttir"]
    assert names_carried(inspect.getsource(module.kernel.fn)) == [2]
    assert values_carried(ttir) == [1]


def names_carried(source: str) -> list[int]:
    """For every loop that stays one in the IR, how many names go from one round of it to the next.

    Such a name stood before the loop, is assigned in its body, and is read before that or after the loop.
    """
    function = ast.parse(textwrap.dedent(source)).body[0]
    stored, read = {}, {}
    for node in ast.walk(function):
        if isinstance(node, ast.AugAssign):
            read.setdefault(node.target.id, []).append(node.lineno)
        if isinstance(node, ast.Name):
            lines = stored if isinstance(node.ctx, ast.Store) else read
            lines.setdefault(node.id, []).append(node.lineno)
    for argument in function.args.args:
        stored.setdefault(argument.arg, []).append(function.lineno)
    loops = [node for node in ast.walk(function) if isinstance(node, (ast.For, ast.While)) and not unrolled(node)]
    counts = []
    for loop in sorted(loops, key=lambda node: node.lineno):
        carried = 0
        for name, lines in stored.items():
            inside = [line for line in lines if loop.lineno < line <= loop.end_lineno]
            lives_on = any(
                loop.lineno <= line <= min(inside, default=0) or line > loop.end_lineno for line in read.get(name, [])
            )
            carried += bool(min(lines) < loop.lineno and inside and lives_on)
        counts.append(carried)
    return counts


def unrolled(loop: ast.AST) -> bool:
    return isinstance(loop, ast.For) and "static_range" in ast.unparse(loop.iter)


def values_carried(ttir: str) -> list[int]:
    """For every loop in the IR, how many values go from one round to the next."""
    counts = []
    for line in ttir.splitlines():
        found = re.search(r"scf\.(?:for .* iter_args|while )\((.*?)\)", line)
        if found:
            counts.append(found.group(1).count("="))
        else:
            assert "scf.for" not in line and "scf.while" not in line, line
    return counts


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("capability", [80, 90])
def test_compiles_to_divisions_that_round_and_no_fused_products_that_do(name, capability, compiled):
    code = compiled(name, capability)["ptx"]
    approximate = [line for line in code.splitlines() if re.search(r"div\.full|div\.approx|rcp\.approx", line)]
    fused = [line for line in code.splitlines() if "fma.rn" in line]
    if name == "centre_surround_kernel":
        # Its quotients are right however their reciprocals are rounded; its products are whole numbers below 2**24.
        assert approximate
    else:
        assert not approximate and not fused
    if name in ("map_kernel", "first_extreme_kernel", "small_kernel"):
        assert "div.rn.f32" in code


def test_refuses_cpu_images_unless_interpreted(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="images should be on a GPU for backend='triton', got cpu; or use 'auto'"):
        FineGrainedSaliency("triton")(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_the_error_without_triton_names_it(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(fine_grained, "HAS_TRITON", False)
    with pytest.raises(PackageError, match="backend='triton' needs a Triton that runs on cpu"):
        FineGrainedSaliency("triton")(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_where_triton_does_not_run_the_definition_is_used_and_one_warning_logged(monkeypatch, caplog, made_up_images):
    # A GPU that Triton cannot compile for is stood in for by a CPU, for which it cannot compile either.
    monkeypatch.setattr(FineGrainedSaliency, "_kernel", lambda self, device: operators)
    images = torch.stack(list(made_up_images(9, 11).values()))
    gpu_kernel.cache_clear()
    try:
        with caplog.at_level(logging.INFO, logger="smix_mm"):
            for _ in range(2):
                assert torch.equal(FineGrainedSaliency()(images), fine_grained.fine_grained_saliency(images))
            assert FineGrainedSaliency().peak(images).tolist() == FineGrainedSaliency("torch").peak(images).tolist()
        assert [record.name for record in caplog.records] == ["smix_mm"]
        assert "the Triton kernel cannot be used on cpu" in caplog.text
    finally:
        gpu_kernel.cache_clear()
