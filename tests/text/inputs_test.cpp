#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>

#include "caravan/error.hpp"
#include "io/data/documents.hpp"
#include "io/data/input_list.hpp"
#include "io/files/byte_source.hpp"
#include "tests/io/temporary_folder.hpp"

#ifdef CARAVAN_HAVE_ZSTD
#include <zstd.h>
#endif

namespace caravan::io {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string gzipped(const std::string& text) {
  const test::TemporaryFolder folder;
  const gzFile file = ::gzopen(folder.file("x").c_str(), "wb");
  ::gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  ::gzclose(file);
  return test::slurp(folder.file("x"));
}

std::string letters(std::size_t size) {
  std::string text;
  for (std::uint32_t i = 1; text.size() < size; ++i) text += fmt::format("{:x} ", i * 2654435761u);
  return text;
}

class Inputs : public testing::Test {
 protected:
  std::string make(const std::string& name, const std::string& bytes = "x") const {
    fs::create_directories(fs::path(folder_.file(name)).parent_path());
    test::spill(folder_.file(name), bytes);
    return folder_.file(name);
  }
  std::string bytes_of(const std::string& path) const {
    const auto source = open_bytes(path);
    std::string all, piece(1000, '\0');
    while (const std::size_t got = source->read(std::as_writable_bytes(std::span(piece))))
      all += piece.substr(0, got);
    return all;
  }
  std::string refusal(const std::string& packed) const {
    return test::message_of<IoError>([&] { bytes_of(make("bad", packed)); });
  }
  /// Paths below the folder.
  std::vector<std::string> expanded(const std::vector<std::string>& inputs) {
    list_ = expand_inputs(inputs);
    std::vector<std::string> names;
    for (const std::string& file : list_.files)
      names.push_back(file == "-" ? file : file.substr(folder_.path().size() + 1));
    return names;
  }
  std::string refusal_of(const std::vector<std::string>& inputs) {
    return test::message_of<Error>([&] { expanded(inputs); });
  }

  test::TemporaryFolder folder_;
  InputList list_;
};

TEST_F(Inputs, GzipIsReadWhateverItsName) {
  const std::string text = letters(1 << 20), other = "and more";
  EXPECT_EQ(bytes_of(make("a.txt", gzipped(text))), text);
  EXPECT_EQ(bytes_of(make("a.gz", gzipped(text) + gzipped("") + gzipped(other))), text + other);
  EXPECT_EQ(bytes_of(make("b.gz", "no gzip")), "no gzip");
  EXPECT_EQ(bytes_of(make("empty", "")), "");
}

TEST_F(Inputs, AGlobInAFolderThatIsNotThereSaysSo) {
  EXPECT_THAT(refusal_of({folder_.file("nowhere/*.txt")}), HasSubstr("No such file or directory"));
}

TEST_F(Inputs, DamagedGzipIsRefused) {
  const std::string packed = gzipped(letters(10'000));
  std::string changed = packed;
  changed[packed.size() / 2] ^= 1;
  EXPECT_THAT(refusal(packed.substr(0, packed.size() / 2)),
              HasSubstr("bad ends inside its gzip data (truncated?)"));
  EXPECT_THAT(refusal(packed.substr(0, packed.size() - 4)), HasSubstr("truncated?"));
  EXPECT_THAT(refusal("\x1F\x8B"), HasSubstr("truncated?"));
  EXPECT_THAT(refusal(changed), HasSubstr("bad cannot be decompressed (gzip: "));
  EXPECT_THAT(refusal(packed + "behind"),
              HasSubstr("bad cannot be decompressed (gzip: incorrect header check)"));
}

#ifdef CARAVAN_HAVE_ZSTD
std::string zstd(const std::string& text) {
  std::string packed(::ZSTD_compressBound(text.size()), '\0');
  packed.resize(::ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  return packed;
}

TEST_F(Inputs, ZstdIsReadWhateverItsName) {
  const std::string text = letters(1 << 20);
  EXPECT_EQ(bytes_of(make("a.txt", zstd(text))), text);
  EXPECT_EQ(bytes_of(make("a.zst", zstd("one") + zstd("") + zstd("two"))), "onetwo");
}

TEST_F(Inputs, DamagedZstdIsRefused) {
  const std::string packed = zstd(letters(10'000));
  std::string changed = packed;
  changed[6] ^= 0x40;
  EXPECT_THAT(refusal(packed.substr(0, packed.size() / 2)),
              HasSubstr("bad ends inside its zstd data (truncated?)"));
  EXPECT_THAT(refusal(changed), HasSubstr("bad"));
  EXPECT_THAT(refusal(packed + "behind"), HasSubstr("bad cannot be decompressed (zstd: "));
}
#else
TEST_F(Inputs, ZstdIsRefusedByName) {
  EXPECT_THAT(refusal("\x28\xB5\x2F\xFD"),
              HasSubstr("bad is compressed with zstd (this build has no libzstd)"));
}
#endif

TEST_F(Inputs, CompressedTextIsStillCheckedAndItsFormatKnownByTheNameWithin) {
  TextRepairs repairs;
  std::vector<std::string> texts;
  const auto take = [&](std::string_view text) { texts.emplace_back(text); };
  for_each_document(make("a.jsonl.gz", gzipped("{\"text\":\"one\"}\n")), {}, repairs, take);
  EXPECT_THAT(texts, ElementsAre("one"));
  const std::string twice = make("a.gz.gz", gzipped(gzipped("text")));
  EXPECT_THAT(
      test::message_of<IoError>([&] { for_each_document(twice, {}, repairs, take); }),
      HasSubstr("a.gz.gz: byte 1 is 0x8B, no UTF-8 (text in UTF-8 is read; this looks like gzip data)"));
}

TEST_F(Inputs, FoldersAreTakenInOrderWithoutWhatIsHiddenOrNoFile) {
  for (const char* name : {"t/b", "t/a/z", "t/a/y.txt", "t/.hidden", "t/.git/config", "other"}) make(name);
  ASSERT_EQ(::mkfifo(folder_.file("t/pipe").c_str(), 0600), 0);
  fs::create_directory_symlink(folder_.path(), folder_.file("t/loop"));
  fs::create_symlink(folder_.file("other"), folder_.file("t/c"));

  EXPECT_THAT(expanded({folder_.file("t")}), ElementsAre("t/a/y.txt", "t/a/z", "t/b", "t/c"));
  ASSERT_EQ(list_.notes.size(), 1u);
  EXPECT_THAT(list_.notes[0], HasSubstr("t: 4 files taken, 4 skipped ("));
  EXPECT_THAT(list_.notes[0], HasSubstr("2 hidden: "));
  EXPECT_THAT(list_.notes[0], HasSubstr("1 a link to a folder: " + folder_.file("t/loop")));
  EXPECT_THAT(list_.notes[0], HasSubstr("1 no regular file: " + folder_.file("t/pipe")));
}

TEST_F(Inputs, GlobsAndListsStandForTheirFiles) {
  for (const char* name : {"b1.txt", "a2.txt", "a1.txt", "a1.json", "t/z"}) make(name);
  make("list", folder_.file("a2.txt") + "\r\n\n" + folder_.file("t") + "\n" + folder_.file("b?.txt"));
  EXPECT_THAT(expanded({folder_.file("a*.txt")}), ElementsAre("a1.txt", "a2.txt"));
  EXPECT_THAT(list_.notes, ElementsAre(HasSubstr("a*.txt: 2 matches")));
  EXPECT_THAT(expanded({"@" + folder_.file("list"), "-", folder_.file("a1.txt")}),
              ElementsAre("a2.txt", "t/z", "b1.txt", "-", "a1.txt"));
  make("a[1].txt");
  EXPECT_THAT(expanded({folder_.file("a[1].txt")}), ElementsAre("a[1].txt")) << "what has this very name";
}

TEST_F(Inputs, WhatIsNamedTwiceIsSaid) {
  make("a.txt");
  EXPECT_EQ(expanded({folder_.file("a.txt"), folder_.file("*.txt"), folder_.file("./a.txt")}).size(), 3u);
  EXPECT_THAT(list_.warnings, ElementsAre(HasSubstr("a.txt is named 3 times (it is read as often)")));
}

TEST_F(Inputs, ThatStandForNothingAreRefused) {
  fs::create_directory(folder_.file("empty"));
  make("list", "\n");
  make("nested", "@list\n");
  EXPECT_THAT(refusal_of({folder_.file("*.none")}), HasSubstr("*.none matches no file"));
  EXPECT_THAT(refusal_of({folder_.file("empty")}), HasSubstr("empty holds no file to read"));
  EXPECT_THAT(refusal_of({"@" + folder_.file("list")}), HasSubstr("list lists nothing"));
  EXPECT_THAT(refusal_of({"@" + folder_.file("nowhere")}), HasSubstr("nowhere (No such file or directory)"));
  EXPECT_THAT(refusal_of({"@" + folder_.file("nested")}), HasSubstr("nested: '@list'"));
  EXPECT_THAT(refusal_of({folder_.file("**")}), HasSubstr("(** is not known)"));
  EXPECT_THAT(refusal_of({"-", "-"}), HasSubstr("standard input ('-') is named twice"));
}

TEST_F(Inputs, NoRegularFileIsRefusedAtOnce) {
  ASSERT_EQ(::mkfifo(folder_.file("pipe").c_str(), 0600), 0);
  const int kept_open = ::open(folder_.file("pipe").c_str(), O_RDWR);  // so that opening it does not wait
  EXPECT_THAT(test::message_of<IoError>([&] { open_bytes(folder_.file("pipe")); }), HasSubstr("pipe"));
  ::close(kept_open);
}

}  // namespace
}  // namespace caravan::io
