#include "io/checkpoint/remembered_blocks.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <stdexcept>

#include "io/checkpoint/manifest.hpp"
#include "io/files/on_threads.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using Bytes = io::RememberedBlocks::Bytes;

Bytes one_byte(std::size_t value) {
  return std::make_shared<std::byte[]>(1, static_cast<std::byte>(value));
}

TEST(RememberedBlocks, OneReaderRemembersItsLastBlock) {
  io::RememberedBlocks blocks;
  const io::PieceRecord piece;
  int loads = 0;
  const auto get = [&](std::size_t block) {
    return std::to_integer<std::size_t>(blocks.get(&piece, block, [&] {
      ++loads;
      return one_byte(block);
    })[0]);
  };
  EXPECT_EQ(get(0), 0u);
  EXPECT_EQ(get(0), 0u);
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(get(1), 1u);
  EXPECT_EQ(get(0), 0u);
  EXPECT_EQ(loads, 3);
}

TEST(RememberedBlocks, BlocksOfAnotherPieceAreOthers) {
  io::RememberedBlocks blocks;
  const io::PieceRecord a, b;
  EXPECT_EQ(blocks.get(&a, 0, [] { return one_byte(1); })[0], std::byte{1});
  EXPECT_EQ(blocks.get(&b, 0, [] { return one_byte(2); })[0], std::byte{2});
}

TEST(RememberedBlocks, AsManyAreRememberedAsHaveReadAtOnce) {
  io::RememberedBlocks blocks;
  const io::PieceRecord piece;
  { const io::RememberedBlocks::Reader first(blocks), second(blocks); }
  int loads = 0;
  for (const std::size_t block : {0, 1, 0, 1, 2, 1, 0})
    blocks.get(&piece, block, [&] {
      ++loads;
      return one_byte(block);
    });
  EXPECT_EQ(loads, 4);  // 0, 1, 2, and 0 again, which 2 pushed out
}

TEST(RememberedBlocks, ThreadsThatAskForOneBlockReadItOnce) {
  io::RememberedBlocks blocks;
  const io::PieceRecord piece;
  std::atomic<int> loads{0};
  io::on_threads(64, 8, [&](std::size_t) {
    const io::RememberedBlocks::Reader reader(blocks);
    const Bytes bytes = blocks.get(&piece, 5, [&] {
      ++loads;
      return one_byte(7);
    });
    EXPECT_EQ(bytes[0], std::byte{7});
  });
  EXPECT_EQ(loads, 1);
}

TEST(RememberedBlocks, WhatCouldNotBeReadIsTriedAgain) {
  io::RememberedBlocks blocks;
  const io::PieceRecord piece;
  const auto fail = []() -> Bytes { throw std::runtime_error("damaged"); };
  EXPECT_EQ(message_of<std::runtime_error>([&] { blocks.get(&piece, 0, fail); }), "damaged");
  EXPECT_EQ(blocks.get(&piece, 0, [] { return one_byte(3); })[0], std::byte{3});
}

}  // namespace
}  // namespace caravan::test
