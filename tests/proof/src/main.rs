//! Runs the proofs and prints what was checked.

use clap::{Parser, Subcommand};
use tessera_proof::{Size, histories, line, model, moving, numbering, replay, simulate, stock};

#[derive(Parser)]
#[command(about = "Proofs of the capacity engine")]
struct Arguments {
    #[command(subcommand)]
    proof: Proof,
    /// How much is checked.
    #[arg(long, value_enum, default_value = "ci", global = true)]
    size: Size,
}

#[derive(Subcommand)]
enum Proof {
    /// Check the design in every interleaving of small worlds.
    Model,
    /// Check the waitlist's hand-over, the moving of a booking, stock that settles, and numbers of invoices.
    Line,
    /// Check recorded histories of the engine for linearizability.
    Histories,
    /// Simulate a sale at 20,000 requests a second.
    Simulate,
}

fn main() -> std::process::ExitCode {
    let Arguments { proof, size } = Arguments::parse();
    let holds = match proof {
        Proof::Model => model::print(size),
        Proof::Line => {
            let line = replay::print::<line::Scenario>(size);
            let moving = replay::print::<moving::Scenario>(size);
            let stock = replay::print::<stock::Scenario>(size);
            let numbering = replay::print::<numbering::Scenario>(size);
            line && moving && stock && numbering
        }
        Proof::Histories => histories::print(size),
        Proof::Simulate => simulate::print(size),
    };
    if holds { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
