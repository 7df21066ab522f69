#include <fmt/format.h>

#include <utility>

#include "caravan/check.hpp"
#include "io/files/decompress.hpp"

#ifdef CARAVAN_HAVE_ZSTD
#include <zstd.h>
#endif

namespace caravan::io {

#ifdef CARAVAN_HAVE_ZSTD
namespace {

constexpr int kLargestWindowLog = 27;

class Zstd final : public ByteSource {
 public:
  Zstd(std::unique_ptr<ByteSource> packed, const std::string& name)
      : packed_(std::move(packed), name), stream_(::ZSTD_createDCtx(), ::ZSTD_freeDCtx) {
    CARAVAN_CHECK(stream_, IoError, fmt::format("no memory to decompress {}", name));
    ::ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kLargestWindowLog);
  }

  std::size_t read(std::span<std::byte> to) override {
    for (;;) {
      const auto rest = packed_.rest();
      ZSTD_inBuffer from{rest.data(), rest.size(), 0};
      ZSTD_outBuffer made{to.data(), to.size(), 0};
      if (rest.empty() && !in_frame_) return 0;
      const std::size_t result = ::ZSTD_decompressStream(stream_.get(), &made, &from);
      CARAVAN_CHECK(!::ZSTD_isError(result), IoError,
                    fmt::format("{} cannot be decompressed (zstd: {}). Is it damaged?", packed_.name(),
                                ::ZSTD_getErrorName(result)));
      packed_.use(from.pos);
      in_frame_ = result != 0;
      if (made.pos > 0) return made.pos;
      CARAVAN_CHECK(!rest.empty() || !in_frame_, IoError,
                    fmt::format("{} ends inside its zstd data (truncated?)", packed_.name()));
    }
  }

 private:
  PackedInput packed_;
  std::unique_ptr<ZSTD_DCtx, decltype(&::ZSTD_freeDCtx)> stream_;
  bool in_frame_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> decompress_zstd(std::unique_ptr<ByteSource> packed, const std::string& name) {
  return std::make_unique<Zstd>(std::move(packed), name);
}
#else
std::unique_ptr<ByteSource> decompress_zstd(std::unique_ptr<ByteSource>, const std::string& name) {
  throw IoError(
      fmt::format("{} is compressed with zstd (this build has no libzstd). Install libzstd-dev and "
                  "build again, or pipe what zstdcat gives to '-'?",
                  name));
}
#endif

}  // namespace caravan::io
