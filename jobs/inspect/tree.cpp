#include "jobs/inspect/tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "jobs/drawing/tone.hpp"
#include "jobs/inspect/box.hpp"
#include "jobs/inspect/names.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

/// "layers." of "layers.0.norm.weight"; a slash ends a label too.
std::string_view first_label(std::string_view path) {
  const std::size_t end = path.find_first_of("/.", 1);
  return end == std::string_view::npos ? path : path.substr(0, end + 1);
}

struct Branch {
  std::string label;
  const TreeLeaf* leaf = nullptr;
  std::vector<std::unique_ptr<Branch>> branches;
  std::uint64_t tensors = 0, bytes = 0;

  /// Leaves come in order, so a branch that is met again is the last one.
  Branch& last_or_new(std::string_view wanted) {
    if (branches.empty() || branches.back()->label != wanted) {
      branches.push_back(std::make_unique<Branch>());
      branches.back()->label = wanted;
    }
    return *branches.back();
  }
};

void plant(Branch& root, const TreeLeaf& leaf) {
  Branch* branch = &root;
  for (std::string_view rest = leaf.path; !rest.empty();) {
    const std::string_view label = first_label(rest);
    branch = &branch->last_or_new(label);
    if (leaf.tensor) {
      ++branch->tensors;
      branch->bytes += leaf.tensor->bytes;
    }
    rest.remove_prefix(label.size());
  }
  if (!leaf.attribute.empty()) branch = &branch->last_or_new("@" + leaf.attribute);
  branch->leaf = &leaf;
}

/// A branch with one branch and nothing else is one step of the tree.
void merge_chains(Branch& branch) {
  while (branch.branches.size() == 1 && !branch.leaf) {
    std::unique_ptr<Branch> only = std::move(branch.branches.front());
    branch.label += only->label;
    branch.leaf = only->leaf;
    branch.branches = std::move(only->branches);
  }
  for (const auto& inner : branch.branches) merge_chains(*inner);
}

/// What one line says, before its columns are aligned.
struct Line {
  std::string indent, label;
  const Branch* branch;
};

class Drawing {
 public:
  Drawing(int depth, Ink ink) : depth_(depth), ink_(ink) {}

  void measure(const std::vector<TreeLeaf>& leaves) {
    for (const TreeLeaf& leaf : leaves)
      if (leaf.tensor) widest_type_ = std::max(widest_type_, printable(leaf.tensor->type).size());
  }

  void collect(const Branch& branch, const std::string& indent, int level) {
    for (std::size_t i = 0; i < branch.branches.size(); ++i) {
      const Branch& inner = *branch.branches[i];
      const bool is_last = i + 1 == branch.branches.size();
      const std::string fork = level == 0 ? "" : is_last ? "└─ " : "├─ ";
      const std::string below = level == 0 ? "" : is_last ? "   " : "│  ";
      lines_.push_back({indent + fork, label_of(inner), &inner});
      if (depth_ == 0 || level + 1 < depth_) collect(inner, indent + below, level + 1);
    }
  }

  std::string text() const {
    std::size_t widest = 0;
    for (const Line& line : lines_) widest = std::max(widest, width_of(line));
    std::string text;
    for (const Line& line : lines_) {
      const bool is_branch = line.branch->leaf == nullptr;
      text += painted(line.indent, Tone::faint, ink_) +
              painted(line.label, is_branch ? Tone::strong : Tone::plain, ink_) +
              std::string(widest - width_of(line) + 2, ' ') + facts_of(*line.branch) + "\n";
    }
    return text;
  }

 private:
  static std::string label_of(const Branch& branch) {
    std::string_view label = branch.label;
    if (!branch.leaf && label.size() > 1) label.remove_suffix(1);  // the separator
    return printable(label);
  }

  static std::size_t width_of(const Line& line) {
    return display_width(line.indent) + display_width(line.label);
  }

  std::string facts_of(const Branch& branch) const {
    if (!branch.leaf) {
      return fmt::format("{}, {}", counted(static_cast<std::int64_t>(branch.tensors), "tensor"),
                         bytes_text(static_cast<double>(branch.bytes)));
    }
    const TensorEntry* tensor = branch.leaf->tensor;
    if (!tensor) return "= " + printable(branch.leaf->value);
    return painted(fmt::format("{:<{}}", printable(tensor->type), widest_type_), Tone::accent, ink_) +
           fmt::format(" {:<20} {:>11}{}", shape_text(tensor->extents),
                       bytes_text(static_cast<double>(tensor->bytes)),
                       tensor->element ? "" : "  not read: " + printable(tensor->unreadable));
  }

  int depth_;
  Ink ink_;
  std::size_t widest_type_ = 5;
  std::vector<Line> lines_;
};

}  // namespace

std::string draw_tree(const std::vector<TreeLeaf>& leaves, int depth, Ink ink) {
  Branch root;
  for (const TreeLeaf& leaf : leaves) plant(root, leaf);
  for (const auto& branch : root.branches) merge_chains(*branch);
  Drawing drawing(depth, ink);
  drawing.measure(leaves);
  drawing.collect(root, "", 0);
  return drawing.text();
}

}  // namespace caravan::jobs
