#include "jobs/state/file_records.hpp"

#include "jobs/setup/gather.hpp"
#include "jobs/setup/machine.hpp"

namespace caravan::jobs {

std::vector<io::FileRecord> gather_records(Communicator& world, std::optional<io::FileRecord> own) {
  const bool is_sent = own && world.rank() != 0;
  const std::vector<std::string> texts = gather_texts(world, is_sent ? io::to_text(*own) : "");
  if (world.rank() != 0) return {};
  std::vector<io::FileRecord> records;
  if (own) records.push_back(std::move(*own));
  for (const std::string& text : texts) {
    if (!text.empty()) records.push_back(io::file_record_from(text));
  }
  return records;
}

io::FileRecord broadcast_record(Communicator& world, std::optional<io::FileRecord> record) {
  const bool is_sent = world.rank() == 0 && world.size() > 1;
  const std::string text = broadcast_text(world, is_sent ? io::to_text(*record) : "");
  return world.rank() == 0 ? std::move(*record) : io::file_record_from(text);
}

}  // namespace caravan::jobs
