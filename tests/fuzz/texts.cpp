// A text that is to be tokenised: compressed or not, in lines, JSON or whole.
#include "io/data/documents.hpp"
#include "tests/fuzz/memory_file.hpp"
#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

using io::DocumentFormat;

void read(Input input) {
  const MemoryFile memory(input);
  for (const auto content : {io::Content::text, io::Content::binary}) {
    for (const auto separator : {DocumentFormat::Separator::file, DocumentFormat::Separator::blank_line,
                                 DocumentFormat::Separator::line, DocumentFormat::Separator::anywhere}) {
      for (const auto kind : {DocumentFormat::Kind::text, DocumentFormat::Kind::json_lines}) {
        io::TextRepairs repairs;
        attempt([&] {
          io::for_each_document(memory.path(), {kind, separator, "text", content}, repairs,
                                [](std::string_view) {});
        });
      }
    }
  }
}

}  // namespace

// A window of zstd may have 128 MiB, and its data repeats one byte of 4 up to 128 Ki times.
const Target texts{"texts", read, {std::uint64_t{160} << 20, 70'000}};

}  // namespace caravan::fuzz
