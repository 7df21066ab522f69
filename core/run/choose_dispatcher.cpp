#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "caravan/check.hpp"
#include "caravan/dispatch.hpp"
#include "caravan/mesh.hpp"
#include "core/run/audited_dispatcher.hpp"

namespace caravan {
namespace {

constexpr std::string_view kAuto = "auto";
/// Of those that bring rows to other ranks, the best first.
constexpr std::array<std::string_view, 1> kAcrossRanks = {"all_to_all"};

ChosenDispatcher named(const Host& host, std::string_view name, const Config& keys) {
  Made<Dispatcher> made = host.registry->create<Dispatcher>(name, host, keys);
#if CARAVAN_AUDITS
  made = audited(std::move(made), std::string(name), host);
#endif
  return {std::string(name), std::move(made), ""};
}

ChosenDispatcher best_across_ranks(const Host& host) {
  std::string refused;
  for (const std::string_view name : kAcrossRanks) {
    try {
      ChosenDispatcher chosen = named(host, name, Config::map());
      chosen.refused = refused;
      return chosen;
    } catch (const Error& error) {
      const std::string reason = error.message().substr(0, error.message().find('\n'));
      refused += fmt::format("{}{}: {}", refused.empty() ? "" : "; ", name, reason);
    }
  }
  throw ConfigError(
      fmt::format("dispatch auto (none that brings rows to other ranks works here: {})", refused));
}

ChosenDispatcher best(const Host& host) {
  const bool divides = host.mesh && host.mesh->degree(MeshAxis::ep) > 1;
  return divides ? best_across_ranks(host) : named(host, "local", Config::map());
}

}  // namespace

std::int64_t most_rows_received(const DispatchSpec& spec, std::int64_t ranks, double room) {
  const std::int64_t tokens = spec.shape.of_largest_rank().block_rows(), local = spec.experts / ranks;
  std::int64_t most = ranks * tokens * std::min(spec.top_k, local);
  if (spec.capacity > 0) most = std::min(most, ranks * spec.shape.sequences * local * spec.capacity);
  const double with_room = std::ceil(room * static_cast<double>(tokens * spec.top_k));
  return room == 0 || with_room >= static_cast<double>(most) ? most : static_cast<std::int64_t>(with_room);
}

ChosenDispatcher choose_dispatcher(const Host& host, const Config& wanted) {
  if (wanted.kind() == Config::Kind::scalar)
    return wanted.text() == kAuto ? best(host) : named(host, wanted.text(), wanted.emptied());
  Config keys = wanted;
  CARAVAN_CHECK(
      keys.kind() == Config::Kind::map && keys.has("name"), ConfigError,
      fmt::format("{}: dispatch is no name (must be a name such as local, or a map with the key `name` and "
                  "the keys of that plugin)",
                  wanted.where()));
  const std::string name = keys.at("name").as_string();
  keys.erase("name");
  CARAVAN_CHECK(
      name != kAuto || keys.entries().empty(), ConfigError,
      fmt::format("{}: keys of dispatch auto (it is not known whose they are). Name the dispatcher?",
                  wanted.where()));
  return name == kAuto ? best(host) : named(host, name, keys);
}

}  // namespace caravan
