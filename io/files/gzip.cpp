#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "caravan/check.hpp"
#include "io/files/decompress.hpp"

namespace caravan::io {
namespace {

constexpr int kGzipOnly = 16;  // added to the window's bits, see zlib.h

uInt at_most(std::size_t bytes) {
  return static_cast<uInt>(std::min<std::size_t>(bytes, std::numeric_limits<uInt>::max()));
}

class Gzip final : public ByteSource {
 public:
  Gzip(std::unique_ptr<ByteSource> packed, const std::string& name) : packed_(std::move(packed), name) {
    CARAVAN_CHECK(::inflateInit2(&stream_, MAX_WBITS + kGzipOnly) == Z_OK, IoError,
                  fmt::format("no memory to decompress {}", name));
  }
  ~Gzip() override { ::inflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  std::size_t read(std::span<std::byte> to) override {
    while (!at_end_) {
      const std::size_t made = inflate_some(to);
      if (made > 0) return made;
    }
    return 0;
  }

 private:
  std::size_t inflate_some(std::span<std::byte> to) {
    const auto from = packed_.rest();
    if (from.empty()) {
      CARAVAN_CHECK(!in_member_, IoError,
                    fmt::format("{} ends inside its gzip data (truncated?)", packed_.name()));
      at_end_ = true;
      return 0;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
    stream_.avail_in = at_most(from.size());
    stream_.next_out = reinterpret_cast<Bytef*>(to.data());
    stream_.avail_out = at_most(to.size());
    in_member_ = true;
    const int result = ::inflate(&stream_, Z_NO_FLUSH);
    packed_.use(static_cast<std::size_t>(reinterpret_cast<const std::byte*>(stream_.next_in) - from.data()));
    check(result);
    return static_cast<std::size_t>(reinterpret_cast<std::byte*>(stream_.next_out) - to.data());
  }

  void check(int result) {
    const bool is_good = result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
    CARAVAN_CHECK(is_good, IoError,
                  fmt::format("{} cannot be decompressed (gzip: {}). Is it damaged?", packed_.name(),
                              stream_.msg ? stream_.msg : "no reason given"));
    if (result != Z_STREAM_END) return;
    in_member_ = false;
    ::inflateReset(&stream_);
  }

  PackedInput packed_;
  z_stream stream_{};
  bool in_member_ = false, at_end_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> decompress_gzip(std::unique_ptr<ByteSource> packed, const std::string& name) {
  return std::make_unique<Gzip>(std::move(packed), name);
}

}  // namespace caravan::io
