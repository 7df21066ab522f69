#include "caravan/mesh.hpp"

#include <fmt/format.h>

#include <numeric>
#include <string_view>

#include "caravan/check.hpp"

namespace caravan {
namespace {

constexpr std::array<std::string_view, 12> kNames = {
    "pp", "dp_replicate", "dp_shard", "cp", "tp", "efsdp", "ep", "etp", "batch", "fsdp", "loss", "rows"};
/// What jobs call the degrees of the first five, in the section `parallel`.
constexpr std::array<std::string_view, 5> kKeys = {"pipeline", "data_replicate", "data_shard", "context",
                                                   "tensor"};
constexpr std::uint8_t kDenseOnly = 0b0001'1100;   // dp_shard cp tp
constexpr std::uint8_t kExpertOnly = 0b1110'0000;  // efsdp ep etp

std::uint8_t mask_of(MeshAxis axis) {
  switch (axis) {
    case MeshAxis::batch:
      return 0b0000'0110;
    case MeshAxis::fsdp:
      return 0b0000'1100;
    case MeshAxis::loss:
      return 0b0000'1110;
    case MeshAxis::rows:
      return 0b0001'1110;
    default:
      return static_cast<std::uint8_t>(1u << static_cast<unsigned>(axis));
  }
}

std::array<int*, 5> world_axes(MeshDegrees& d) {
  return {&d.pp, &d.dp_replicate, &d.dp_shard, &d.cp, &d.tp};
}

std::string product_text(const MeshDegrees& d) {
  return fmt::format("pipeline={} x data_replicate={} x data_shard={} x context={} x tensor={}", d.pp,
                     d.dp_replicate, d.dp_shard, d.cp, d.tp);
}

void check_each(MeshDegrees& degrees) {
  int inferred = 0, index = 0;
  for (const int* degree : world_axes(degrees)) {
    CARAVAN_CHECK(*degree >= 1 || *degree == -1, ConfigError,
                  fmt::format("{}={} (a degree is at least 1, or -1 to be inferred)", kKeys[index], *degree));
    inferred += *degree == -1;
    ++index;
  }
  CARAVAN_CHECK(inferred <= 1, ConfigError,
                fmt::format("{} ({} degrees are -1, only one can be inferred). Give the others a number?",
                            product_text(degrees), inferred));
  CARAVAN_CHECK(degrees.ep >= 1, ConfigError, fmt::format("expert={} (a degree is at least 1)", degrees.ep));
}

/// Replaces -1, and checks that the product is the number of ranks.
void resolve_world(MeshDegrees& degrees, int ranks) {
  std::int64_t product = 1;
  int* inferred = nullptr;
  for (int* degree : world_axes(degrees)) {
    if (*degree == -1) inferred = degree;
    CARAVAN_CHECK(*degree == -1 || !__builtin_mul_overflow(product, *degree, &product), ConfigError,
                  fmt::format("{} (the product does not fit 63 bits)", product_text(degrees)));
  }
  if (inferred) {
    CARAVAN_CHECK(
        ranks % product == 0, ConfigError,
        fmt::format("{} on {} ranks (the degree -1 cannot be inferred: {} is no multiple of {}). Start a "
                    "multiple of {} ranks?",
                    product_text(degrees), ranks, ranks, product, product));
    *inferred = static_cast<int>(ranks / product);
    return;
  }
  CARAVAN_CHECK(
      product == ranks, ConfigError,
      fmt::format(
          "{} = {}, but the job has {} rank{} (each rank needs exactly one place). Start {} ranks, or "
          "set one degree to -1?",
          product_text(degrees), product, ranks, ranks == 1 ? "" : "s", product));
}

/// What would tile `inner` ranks: fewer expert ranks, where that leaves several, or more shards.
std::string expert_advice(const MeshDegrees& d, std::int64_t inner) {
  const std::int64_t experts = std::int64_t{d.ep} * d.etp;
  std::int64_t fewer = d.ep;
  while (inner % (fewer * d.etp) != 0 && fewer > 1) --fewer;
  const std::string less = fewer > 1 ? fmt::format("expert={}, or ", fewer) : "";
  return fmt::format("{}data_shard={}", less, std::lcm(inner, experts) / (std::int64_t{d.cp} * d.tp));
}

void check_experts(const MeshDegrees& d) {
  CARAVAN_CHECK(d.etp == 1 || d.etp == d.tp, ConfigError,
                fmt::format("expert_tensor={} with tensor={} (experts are split like the dense layers or not "
                            "at all). Set it to 1 or {}?",
                            d.etp, d.tp, d.tp));
  const std::int64_t inner = std::int64_t{d.dp_shard} * d.cp * d.tp, experts = std::int64_t{d.ep} * d.etp;
  CARAVAN_CHECK(
      inner % experts == 0, ConfigError,
      fmt::format("expert={} x expert_tensor={} with data_shard={} x context={} x tensor={} = {} "
                  "(expert groups must tile "
                  "these ranks, and {} does not divide {}). {}?",
                  d.ep, d.etp, d.dp_shard, d.cp, d.tp, inner, experts, inner, expert_advice(d, inner)));
}

}  // namespace

MeshAxes::MeshAxes(MeshAxis axis) : mask_(mask_of(axis)) {}

std::string MeshAxes::name() const {
  for (MeshAxis axis : {MeshAxis::batch, MeshAxis::fsdp, MeshAxis::loss, MeshAxis::rows}) {
    if (mask_of(axis) == mask_) return std::string(kNames[static_cast<std::size_t>(axis)]);
  }
  std::string text;
  for (unsigned axis = 0; axis < 8; ++axis) {
    if (mask_ & (1u << axis)) text += fmt::format("{}{}", text.empty() ? "" : "+", kNames[axis]);
  }
  return text;
}

MeshLayout::MeshLayout(MeshDegrees degrees, int ranks) : degrees_(degrees), ranks_(ranks) {
  check_each(degrees_);
  resolve_world(degrees_, ranks);
  check_experts(degrees_);
  const MeshDegrees& d = degrees_;
  const int inner = d.dp_shard * d.cp * d.tp;
  extents_ = {{{d.pp, d.dp_replicate * inner},
               {d.dp_replicate, inner},
               {d.dp_shard, d.cp * d.tp},
               {d.cp, d.tp},
               {d.tp, 1},
               {inner / (d.ep * d.etp), d.ep * d.etp},
               {d.ep, d.etp},
               {d.etp, 1}}};
}

void MeshLayout::check_view(MeshAxes axes) const {
  CARAVAN_CHECK(
      !(axes.mask() & kDenseOnly) || !(axes.mask() & kExpertOnly), Error,
      fmt::format(
          "axes {} (dp_shard, cp, tp and efsdp, ep, etp are two views of the same ranks and cannot be "
          "flattened together)",
          axes.name()));
}

MeshAxes MeshLayout::divided(MeshAxes axes) const {
  std::uint8_t mask = 0;
  for (unsigned axis = 0; axis < kAxes; ++axis) {
    const auto bit = static_cast<std::uint8_t>(1u << axis);
    if ((axes.mask() & bit) && extents_[axis].degree > 1) mask = static_cast<std::uint8_t>(mask | bit);
  }
  return MeshAxes(mask);
}

int MeshLayout::degree(MeshAxes axes) const {
  check_view(axes);
  int product = 1;
  for (unsigned axis = 0; axis < kAxes; ++axis) {
    if (axes.mask() & (1u << axis)) product *= extents_[axis].degree;
  }
  return product;
}

int MeshLayout::coordinate(int rank, MeshAxes axes) const {
  CARAVAN_CHECK(rank >= 0 && rank < ranks_, Error, fmt::format("rank {} of a mesh of {}", rank, ranks_));
  check_view(axes);
  int position = 0;
  for (unsigned axis = 0; axis < kAxes; ++axis) {
    if (!(axes.mask() & (1u << axis))) continue;
    position = position * extents_[axis].degree + rank / extents_[axis].stride % extents_[axis].degree;
  }
  return position;
}

std::vector<int> MeshLayout::group(int rank, MeshAxes axes) const {
  int first = rank;
  std::vector<int> offsets = {0};
  coordinate(rank, axes);  // checks both arguments
  for (unsigned axis = 0; axis < kAxes; ++axis) {
    if (!(axes.mask() & (1u << axis))) continue;
    const Extent& extent = extents_[axis];
    first -= rank / extent.stride % extent.degree * extent.stride;
    std::vector<int> wider;
    for (int offset : offsets) {
      for (int position = 0; position < extent.degree; ++position)
        wider.push_back(offset + position * extent.stride);
    }
    offsets = std::move(wider);
  }
  for (int& offset : offsets) offset += first;
  return offsets;
}

std::string MeshLayout::describe() const {
  std::string text;
  for (unsigned axis = 0; axis < kAxes; ++axis) {
    if (extents_[axis].degree == 1 || (axis == static_cast<unsigned>(MeshAxis::efsdp) && degrees_.ep == 1))
      continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", kNames[axis], extents_[axis].degree);
  }
  return text.empty() ? "one rank" : text;
}

}  // namespace caravan
