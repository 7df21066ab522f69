#include "core/mesh/paper_world.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"

namespace caravan {

PaperWorld::PaperWorld(int rank, int size) : rank_(rank), size_(size) {
  CARAVAN_CHECK(rank >= 0 && rank < size, ConfigError,
                fmt::format("rank {} of {} ranks (must be from 0 to {})", rank, size, size - 1));
}

void PaperWorld::refuse(const char* what) const {
  throw CommError(fmt::format("{} on rank {} of {} ranks that are not running", what, rank_, size_));
}

std::unique_ptr<Communicator> PaperWorld::split(int, int, std::string) {
  refuse("split");
}

Ticket PaperWorld::post_send(TensorView, int, int) {
  refuse("send");
}

Ticket PaperWorld::post_recv(TensorView, int, int) {
  refuse("receive");
}

Ticket PaperWorld::post_all_reduce(TensorView, ReduceOp) {
  refuse("all-reduce");
}

Ticket PaperWorld::post_reduce_scatter(TensorView, TensorView, ReduceOp) {
  refuse("reduce-scatter");
}

Ticket PaperWorld::post_all_gather(TensorView, TensorView) {
  refuse("all-gather");
}

Ticket PaperWorld::post_broadcast(TensorView, int) {
  refuse("broadcast");
}

Ticket PaperWorld::post_all_to_all(TensorView, TensorView) {
  refuse("all-to-all");
}

Ticket PaperWorld::post_all_to_all_v(TensorView, std::span<const std::int64_t>, TensorView,
                                     std::span<const std::int64_t>) {
  refuse("all-to-all");
}

void PaperWorld::wait(Ticket&) {
  refuse("wait");
}

bool PaperWorld::test(const Ticket&) {
  refuse("test");
}

void PaperWorld::barrier() {
  refuse("barrier");
}

}  // namespace caravan
