#include "gemm.hpp"

#include <algorithm>

#include "gemm_block.hpp"
#include "gemm_few_rows.hpp"
#include "gemm_pack.hpp"

// Blocks as in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008: a block of a
// in the second cache, panels of b in the order of use, and sums in registers over the whole depth of a
// block.
namespace caravan::host {
namespace {

/// 384 steps write a block of the result once in 9000 cycles, which hides it.
constexpr std::int64_t kDepth = 384;
/// 192 or 96 rows of that depth: a third of a second cache of 1 MiB.
constexpr std::int64_t kRows = 16 * kPanel;
/// A multiple of kBlockColumns.
constexpr std::int64_t kColumns = 1536;

/// Rows of a transposed a that are packed at once, in the order of memory.
constexpr std::int64_t kPackedRows = 128 * kPanel;

constexpr std::size_t kPackedA = kPackedRows * kDepth + kLanes, kPackedB = kColumns * kDepth + kLanes;

/// Equal parts of at most `most`, multiples of `unit`.
std::int64_t part_of(std::int64_t whole, std::int64_t most, std::int64_t unit) {
  const std::int64_t parts = (whole + most - 1) / most, part = (whole + parts - 1) / parts;
  return (part + unit - 1) / unit * unit;
}

/// What of the depth is summed in registers at a time; it decides the order of each sum.
std::int64_t slice_of(std::int64_t depth) {
  return part_of(depth, kDepth, 1);
}

/// A product of one thread.
class Blocks {
 public:
  Blocks(const Product& size, const Operand& a, const Operand& b, Workspace& scratch)
      : size_(size),
        a_{a.data, a.stride, a.transposed ? Lines::Adjacent::line : Lines::Adjacent::depth},
        b_{b.data, b.stride, b.transposed ? Lines::Adjacent::depth : Lines::Adjacent::line},
        direct_(size.rows <= kPanel && !b.transposed) {
    scratch.begin(kPackedA + kPackedB, 2);
    packed_a_ = scratch.take(kPackedA);
    packed_b_ = scratch.take(kPackedB);
  }

  void multiply_into(const Output& to) const {
    const std::int64_t part = slice_of(size_.depth);
    for (std::int64_t n = 0; n < size_.columns; n += kColumns) {
      for (std::int64_t k = 0; k < size_.depth; k += part) {
        const Product size{size_.rows, std::min(kColumns, size_.columns - n),
                           std::min(part, size_.depth - k)};
        slice(size, a_.from(0, k), b_.from(n, k),
              {to.data + n, to.stride, k > 0 ? Result::accumulate : to.result});
      }
    }
  }

 private:
  /// All rows with one packed block of b.
  void slice(const Product& size, const Lines& a, const Lines& b, const Output& to) const {
    // Where few rows use b, it is read where it is, but for the last columns.
    const std::int64_t read = direct_ ? size.columns / kBlockColumns * kBlockColumns : 0;
    pack<kBlockColumns>(b.from(read, 0), size.columns - read, size.depth, packed_b_);
    const std::int64_t at_once =
        part_of(size.rows, a.adjacent == Lines::Adjacent::line ? kPackedRows : kRows, kPanel);
    for (std::int64_t m = 0; m < size.rows; m += at_once) {
      const std::int64_t rows = std::min(at_once, size.rows - m);
      pack<kPanel>(a.from(m, 0), rows, size.depth, packed_a_);
      rows_of_blocks({rows, size.columns, size.depth}, b, read,
                     {to.data + m * to.stride, to.stride, to.result});
    }
  }

  /// The rows that are packed, as many at a time as the second cache holds.
  void rows_of_blocks(const Product& size, const Lines& b, std::int64_t read, const Output& to) const {
    const std::int64_t part = part_of(size.rows, kRows, kPanel);
    for (std::int64_t m = 0; m < size.rows; m += part) {
      const std::int64_t rows = std::min(part, size.rows - m);
      const Panels a{packed_a_ + m * size.depth, kPanel, size.depth * kPanel};
      float* corner = to.data + m * to.stride;
      if (read > 0) {
        columns({rows, read, size.depth}, a, {b.data, b.stride, kBlockColumns},
                {corner, to.stride, to.result});
      }
      columns({rows, size.columns - read, size.depth}, a,
              {packed_b_, kBlockColumns, size.depth * kBlockColumns}, {corner + read, to.stride, to.result});
    }
  }

  static void columns(Product size, const Panels& a, Panels b, Output to) {
    for (; size.columns > 0; size.columns -= kBlockColumns, b.data += b.next, to.data += kBlockColumns) {
      if (size.columns > kLanes) {
        column_of_blocks<kBlockVectors>(size, a, b, to);
      } else {
        column_of_blocks<1>(size, a, b, to);
      }
    }
  }

  Product size_;
  Lines a_, b_;
  bool direct_;  ///< b is used where it is
  float *packed_a_, *packed_b_;
};

struct Task {
  Product size;
  Operand a, b;
  Output to;
};

void run(const Task& task, Workspace& scratch) {
  if (task.size.rows == 0 || task.size.columns == 0) return;  // an expert without rows, an empty share
  if (task.size.rows <= kFewRows && !task.a.transposed && task.b.transposed) {
    return multiply_few_rows(task.size, slice_of(task.size.depth), task.a, task.b, task.to);
  }
  Blocks(task.size, task.a, task.b, scratch).multiply_into(task.to);
}

/// One of `count` shares, along the longer side of the result. A share may be empty.
Task share_of(Task task, std::int64_t index, std::int64_t count) {
  const bool by_rows = task.size.rows >= task.size.columns;
  std::int64_t& extent = by_rows ? task.size.rows : task.size.columns;
  const std::int64_t unit = by_rows ? kPanel : kBlockColumns, units = (extent + unit - 1) / unit;
  const std::int64_t begin = std::min(extent, units * index / count * unit);
  extent = std::min(extent, units * (index + 1) / count * unit) - begin;
  Operand& operand = by_rows ? task.a : task.b;
  const bool lines_are_rows = operand.transposed != by_rows;
  operand.data += lines_are_rows ? begin * operand.stride : begin;
  task.to.data += by_rows ? begin * task.to.stride : begin;
  return task;
}

void clear_output(const Product& size, const Output& to) {
  for (std::int64_t m = 0; m < size.rows; ++m) std::fill_n(to.data + m * to.stride, size.columns, 0.0f);
}

}  // namespace

Products::Products(const Team& team) : team_(team), scratch_(static_cast<std::size_t>(team.threads())) {}

void Products::multiply(const Product& size, const Operand& a, const Operand& b, const Output& to) {
  if (size.depth == 0) return to.result == Result::replace ? clear_output(size, to) : void();
  constexpr std::int64_t kWorthSharing = 1 << 20;
  // Few rows take the time that reading b takes.
  const std::int64_t rows = std::max(size.rows, kFewRows);
  const int threads = team_.threads();
  const Task task{size, a, b, to};
  if (threads == 1 || rows * size.columns * size.depth < kWorthSharing) return run(task, scratch_[0]);
  team_.run(threads, [&](std::int64_t thread) {
    run(share_of(task, thread, threads), scratch_[static_cast<std::size_t>(thread)]);
  });
}

}  // namespace caravan::host
