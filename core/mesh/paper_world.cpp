#include "core/mesh/paper_world.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"

namespace caravan {
namespace {

class PaperWindow final : public PeerWindow {
 public:
  PaperWindow(int rank, int size, std::size_t bytes) : rank_(rank), size_(size), bytes_(bytes) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::size_t bytes() const override { return bytes_; }
  std::byte* part(int rank) const override {
    constexpr std::uintptr_t kFirst = std::uintptr_t{1} << 44;
    return reinterpret_cast<std::byte*>(kFirst + static_cast<std::size_t>(rank) * bytes_);
  }
  void meet() override {}

 private:
  int rank_, size_;
  std::size_t bytes_;
};

}  // namespace

PaperWorld::PaperWorld(int rank, int size, PaperExchanges exchanges)
    : rank_(rank), size_(size), exchanges_(exchanges) {
  CARAVAN_CHECK(rank >= 0 && rank < size, ConfigError,
                fmt::format("rank {} of {} ranks (must be from 0 to {})", rank, size, size - 1));
}

void PaperWorld::refuse(const char* what) const {
  throw CommError(fmt::format("{} on rank {} of {} ranks that are not running", what, rank_, size_));
}

Ticket PaperWorld::exchange(const char* what) const {
  if (exchanges_ == PaperExchanges::refused) refuse(what);
  return {};
}

std::unique_ptr<Communicator> PaperWorld::split(int, int, std::string) {
  refuse("split");
}

Ticket PaperWorld::post_send(TensorView, int, int) {
  return exchange("send");
}

Ticket PaperWorld::post_recv(TensorView, int, int) {
  return exchange("receive");
}

Ticket PaperWorld::post_all_reduce(TensorView, ReduceOp) {
  return exchange("all-reduce");
}

Ticket PaperWorld::post_reduce_scatter(TensorView, TensorView, ReduceOp) {
  return exchange("reduce-scatter");
}

Ticket PaperWorld::post_all_gather(TensorView, TensorView) {
  return exchange("all-gather");
}

Ticket PaperWorld::post_broadcast(TensorView, int) {
  return exchange("broadcast");
}

Ticket PaperWorld::post_all_to_all(TensorView, TensorView) {
  return exchange("all-to-all");
}

Ticket PaperWorld::post_all_to_all_v(TensorView, std::span<const std::int64_t>, TensorView,
                                     std::span<const std::int64_t>) {
  return exchange("all-to-all");
}

void PaperWorld::wait(Ticket&) {
  static_cast<void>(exchange("wait"));
}

bool PaperWorld::test(const Ticket&) {
  static_cast<void>(exchange("test"));
  return true;
}

void PaperWorld::barrier() {
  static_cast<void>(exchange("barrier"));
}

std::unique_ptr<PeerWindow> PaperWorld::open_window(std::size_t bytes, double) {
  if (exchanges_ == PaperExchanges::refused) refuse("a window");
  return std::make_unique<PaperWindow>(rank_, size_, (bytes + 63) / 64 * 64);
}

}  // namespace caravan
