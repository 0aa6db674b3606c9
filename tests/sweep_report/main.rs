//! `fanin sweep report`: from a store to statistics, tables and figures.

mod folder;
mod reach;
mod readable;
mod reports;
mod statistics;
mod stores;
