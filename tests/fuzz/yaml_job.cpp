// A job file, and after a zero byte an assignment of the command line.
#include "jobs/job/job.hpp"

#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

void write_and_read_again(const Config& tree) {
  const std::string yaml = tree.to_yaml();
  tree.to_json();
  if (yaml.size() < (1 << 19) && !(Config::parse(yaml, "job.yaml") == tree))
    fail("what to_yaml writes is read as something else");
}

void read(Input input) {
  const std::string_view text = text_of(input);
  const std::size_t end = text.find('\0');
  Config tree = Config::parse(text.substr(0, end), "job.yaml");
  if (end != std::string_view::npos) tree.override_with(text.substr(end + 1));
  write_and_read_again(tree);
  jobs::resolve_job(std::move(tree));
}

}  // namespace

// Every value keeps its path, of at most 1024 bytes.
const Target yaml_job{"yaml_job", read, {8 << 20, 8192}};

}  // namespace caravan::fuzz
