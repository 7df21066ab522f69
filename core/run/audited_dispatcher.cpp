#include "core/run/audited_dispatcher.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/mesh.hpp"

namespace caravan {
namespace {

using Offsets = std::vector<std::int32_t>;

class AuditedDispatcher final : public Dispatcher {
 public:
  AuditedDispatcher(Made<Dispatcher> audited, std::string name, const Host& host)
      : audited_(std::move(audited)),
        name_(std::move(name)),
        rank_(host.mesh ? host.mesh->rank() : 0),
        alone_(host.mesh ? nullptr : make_single_communicator("experts")),
        group_(alone_ ? *alone_ : host.mesh->group(MeshAxis::ep).host) {}

  std::string row_path() const override { return audited_->row_path(); }
  DispatchNeeds needs(const DispatchSpec& spec) const override { return audited_->needs(spec); }

  Ticket post_dispatch(Run& run, const Routing& routing, const Received& received, TensorView x) override {
    Ticket ticket = audited_->post_dispatch(run, routing, received, x);
    if (ticket.pending())
      under_way_[ticket.id()] = {routing, received};
    else
      check(run, {routing, received});
    return ticket;
  }
  Ticket post_combine(Run& run, const Routing& routing, const Received& received,
                      const Combine& args) override {
    return audited_->post_combine(run, routing, received, args);
  }
  Ticket post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                               const CombineGradient& args) override {
    return audited_->post_combine_gradient(run, routing, received, args);
  }
  Ticket post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                const DispatchGradient& args) override {
    return audited_->post_dispatch_gradient(run, routing, received, args);
  }
  void wait(Run& run, Ticket& ticket) override {
    const auto posted = under_way_.extract(ticket.id());
    audited_->wait(run, ticket);
    if (!posted.empty()) check(run, posted.mapped());
  }

 private:
  struct Dispatched {
    Routing routing;
    Received received;
  };

  static Offsets on_host(Device& device, const TensorView& view) {
    Offsets values(static_cast<std::size_t>(view.count()));
    device.copy_to_host(Lane::compute, values.data(), view.data, view.bytes());
    device.await(device.record(Lane::compute));
    return values;
  }

  /// What the routers of all ranks chose, and how many rows found no room.
  struct Chosen {
    std::vector<double> rows;  ///< of each expert
    double without_room = 0;
  };
  /// [collective over the expert group]
  Chosen chosen(Run& run, const Routing& routing) {
    const Offsets first = on_host(run.device, routing.offsets);
    std::vector<double> sums(first.size());
    for (std::size_t expert = 0; expert + 1 < first.size(); ++expert)
      sums[expert] = first[expert + 1] - first[expert];
    run.device.copy_to_host(Lane::compute, &sums.back(), run.overflow.data, sizeof(double));
    run.device.await(run.device.record(Lane::compute));
    group_.all_reduce(TensorView(sums.data(), DType::f64, {static_cast<std::int64_t>(sums.size())}),
                      ReduceOp::sum);
    const double without_room = sums.back();
    sums.pop_back();
    return {std::move(sums), without_room};
  }

  std::int64_t first_expert(const Run& run, const Dispatched& now) const {
    const DispatchSpec spec{.experts = now.routing.offsets.count() - 1,
                            .top_k = now.routing.experts.extent(1),
                            .width = now.received.rows.extent(1),
                            .score_side = now.routing.score_side,
                            .shape = run.shape};
    return audited_->needs(spec).first_expert;
  }

  /// Where rows found no room the step fails anyway, and what arrived is nobody's.
  void check(Run& run, const Dispatched& now) {
    const Chosen all = chosen(run, now.routing);
    if (all.without_room != 0) return;
    const Offsets first = on_host(run.device, now.received.offsets);
    CARAVAN_CHECK(
        first[0] == 0 && std::is_sorted(first.begin(), first.end()) &&
            first.back() <= now.received.rows.extent(0),
        Error,
        fmt::format("{}: first rows of its experts [{}] (they ascend from 0 to at most {}, the memory for "
                    "them). Are Received::offsets right?",
                    who(), fmt::join(first, ", "), now.received.rows.extent(0)));
    const std::int64_t held_from = first_expert(run, now);
    for (std::size_t local = 0; local + 1 < first.size(); ++local) {
      const std::int64_t expert = held_from + static_cast<std::int64_t>(local);
      const double wanted = all.rows[static_cast<std::size_t>(expert)];
      const std::int32_t rows = first[local + 1] - first[local];
      const bool is_right =
          rows == wanted || (rows > wanted && filled(run, now, first[local], first[local + 1]) <= wanted);
      CARAVAN_CHECK(
          is_right, Error,
          fmt::format("{}: {} rows for expert {} (the routers of all ranks chose it {} times, and rows that "
                      "pad an expert are zero). Are Received::offsets and the rows right?",
                      who(), rows, expert, wanted));
    }
  }

  /// How many of rows [begin, end) are not zero throughout.
  static double filled(Run& run, const Dispatched& now, std::int64_t begin, std::int64_t end) {
    const TensorView rows = now.received.rows.rows(begin, end);
    const std::size_t width = rows.bytes() / static_cast<std::size_t>(end - begin);
    std::vector<char> values(rows.bytes());
    run.device.copy_to_host(Lane::compute, values.data(), rows.data, rows.bytes());
    run.device.await(run.device.record(Lane::compute));
    double filled = 0;
    for (std::size_t row = 0; row < values.size(); row += width)
      filled +=
          std::any_of(values.begin() + row, values.begin() + row + width, [](char c) { return c != 0; });
    return filled;
  }

  std::string who() const { return fmt::format("rank {}: dispatcher '{}'", rank_, name_); }

  Made<Dispatcher> audited_;
  std::string name_;
  int rank_;                             ///< of the world
  std::unique_ptr<Communicator> alone_;  ///< where there is no mesh
  Communicator& group_;
  std::map<std::uint64_t, Dispatched> under_way_;  ///< dispatches, by their ticket
};

}  // namespace

Made<Dispatcher> audited(Made<Dispatcher> dispatcher, const std::string& name, const Host& host) {
  return Made<Dispatcher>(new AuditedDispatcher(std::move(dispatcher), name, host),
                          [](void* made) { delete static_cast<Dispatcher*>(made); });
}

}  // namespace caravan
